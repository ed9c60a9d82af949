"""The standard's names and numbers of association and release: contexts, mechanisms, results, diagnostics, reasons.

Source: IEC 62056-5-3:2017, clauses 7 and 8; Green Book ed. 8, clauses 9.4.2.2 (registered COSEM names) and 9.5.
"""

from __future__ import annotations

from typing import NamedTuple

from dlms_mqtt.protocol.layout import Code, code_text


class ApplicationContext(Code):
    """COSEM application context names."""

    LN = 1
    SN = 2
    LN_CIPHERED = 3
    SN_CIPHERED = 4

    @property
    def text(self) -> str:
        """``LN``, ``SN``, ``LN-ciphered``, ``SN-ciphered``."""
        return self.name.replace("_CIPHERED", "-ciphered")

    @property
    def logical_names(self) -> bool:
        """Are objects addressed by logical name?"""
        return self in (ApplicationContext.LN, ApplicationContext.LN_CIPHERED)

    @property
    def ciphered(self) -> bool:
        """Is ciphering allowed?"""
        return self >= ApplicationContext.LN_CIPHERED


class Mechanism(Code):
    """COSEM authentication mechanism names."""

    NONE = 0
    LLS = 1
    HLS = 2
    HLS_MD5 = 3
    HLS_SHA1 = 4
    HLS_GMAC = 5
    HLS_SHA256 = 6
    HLS_ECDSA = 7

    @property
    def text(self) -> str:
        """``LLS``, ``HLS-GMAC``, ...; ``none``."""
        return "none" if self is Mechanism.NONE else self.name.replace("_", "-")


class AssociationResult(Code):
    """Result of an AARE."""

    ACCEPTED = 0
    REJECTED_PERMANENT = 1
    REJECTED_TRANSIENT = 2


class DiagnosticSource(Code):
    """Who made the diagnostic of an AARE."""

    ACSE_SERVICE_USER = 1
    ACSE_SERVICE_PROVIDER = 2


class ServiceUserDiagnostic(Code):
    """Why an association was refused, or what is still to do."""

    NULL = 0
    NO_REASON_GIVEN = 1
    APPLICATION_CONTEXT_NAME_NOT_SUPPORTED = 2
    CALLING_AP_TITLE_NOT_RECOGNIZED = 3
    CALLING_AP_INVOCATION_IDENTIFIER_NOT_RECOGNIZED = 4
    CALLING_AE_QUALIFIER_NOT_RECOGNIZED = 5
    CALLING_AE_INVOCATION_IDENTIFIER_NOT_RECOGNIZED = 6
    CALLED_AP_TITLE_NOT_RECOGNIZED = 7
    CALLED_AP_INVOCATION_IDENTIFIER_NOT_RECOGNIZED = 8
    CALLED_AE_QUALIFIER_NOT_RECOGNIZED = 9
    CALLED_AE_INVOCATION_IDENTIFIER_NOT_RECOGNIZED = 10
    AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED = 11
    AUTHENTICATION_MECHANISM_NAME_REQUIRED = 12
    AUTHENTICATION_FAILURE = 13
    AUTHENTICATION_REQUIRED = 14

    @property
    def text(self) -> str:
        """``calling-AP-title-not-recognized``: the standard writes AP and AE in capitals."""
        return super().text.replace("-ap-", "-AP-").replace("-ae-", "-AE-")


class ServiceProviderDiagnostic(Code):
    """Why the layer below the application refused."""

    NULL = 0
    NO_REASON_GIVEN = 1
    NO_COMMON_ACSE_VERSION = 2


class Diagnostic(NamedTuple):
    """result-source-diagnostic: who says it, and the code."""

    source: DiagnosticSource | int
    code: ServiceUserDiagnostic | ServiceProviderDiagnostic | int

    @property
    def text(self) -> str:
        """The code in the standard's words."""
        return code_text(self.code)


class ReleaseRequestReason(Code):
    """Reason of an RLRQ."""

    NORMAL = 0
    URGENT = 1
    USER_DEFINED = 30


class ReleaseResponseReason(Code):
    """Reason of an RLRE."""

    NORMAL = 0
    NOT_FINISHED = 1
    USER_DEFINED = 30
