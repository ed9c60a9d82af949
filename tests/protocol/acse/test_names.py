"""Names and codes of ACSE, in the standard's words."""

from __future__ import annotations

import pytest

from dlms_mqtt.protocol.acse.names import (
    ApplicationContext,
    AssociationResult,
    Diagnostic,
    DiagnosticSource,
    Mechanism,
    ServiceProviderDiagnostic,
    ServiceUserDiagnostic,
)


@pytest.mark.parametrize(
    ("number", "text", "logical", "ciphered"),
    [(1, "LN", True, False), (2, "SN", False, False), (3, "LN-ciphered", True, True), (4, "SN-ciphered", False, True)],
)
def test_contexts(number: int, text: str, logical: bool, ciphered: bool) -> None:
    context = ApplicationContext(number)
    assert (context.text, context.logical_names, context.ciphered) == (text, logical, ciphered)


@pytest.mark.parametrize(("number", "text"), [(0, "none"), (1, "LLS"), (2, "HLS"), (5, "HLS-GMAC"), (7, "HLS-ECDSA")])
def test_mechanisms(number: int, text: str) -> None:
    assert Mechanism(number).text == text


@pytest.mark.parametrize(
    ("diagnostic", "text"),
    [
        (Diagnostic(DiagnosticSource.ACSE_SERVICE_USER, ServiceUserDiagnostic(13)), "authentication-failure"),
        (Diagnostic(DiagnosticSource.ACSE_SERVICE_USER, ServiceUserDiagnostic(3)), "calling-AP-title-not-recognized"),
        (
            Diagnostic(DiagnosticSource.ACSE_SERVICE_USER, ServiceUserDiagnostic(10)),
            "called-AE-invocation-identifier-not-recognized",
        ),
        (
            Diagnostic(DiagnosticSource.ACSE_SERVICE_PROVIDER, ServiceProviderDiagnostic(2)),
            "no-common-acse-version",
        ),
    ],
)
def test_diagnostics(diagnostic: Diagnostic, text: str) -> None:
    assert diagnostic.text == text


def test_a_number_that_nobody_knows_stays_one() -> None:
    assert ServiceUserDiagnostic.of(99) == 99
    assert "99" in Diagnostic(DiagnosticSource.of(1), ServiceUserDiagnostic.of(99)).text
    assert AssociationResult.of(2) is AssociationResult.REJECTED_TRANSIENT
