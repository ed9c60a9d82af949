# Home Assistant 2026.9 and newer puts probatio in the place of voluptuous at run time; this says the same to mypy.
from probatio import All as All
from probatio import Any as Any
from probatio import Coerce as Coerce
from probatio import Exclusive as Exclusive
from probatio import Invalid as Invalid
from probatio import Length as Length
from probatio import Match as Match
from probatio import Optional as Optional
from probatio import Range as Range
from probatio import Required as Required
from probatio import Schema as Schema
