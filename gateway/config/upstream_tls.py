"""`upstreams.NAME.tls`: who the https endpoints of an upstream have to be, and who the gateway is to them."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.config.tls import client_context
from gateway.core.certificates import CertificateRefused, check_certificates, check_key, read_leaf
from gateway.core.scalars import Settings
from gateway.core.schema_hints import written

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")


def _refused(message: str, code: str = "bad_certificate") -> PydanticCustomError:
    # Through the context, because the template itself may hold no braces.
    return PydanticCustomError(code, "{message}", {"message": message})


def _certificates(value: str) -> str:
    try:
        check_certificates(value)
    except CertificateRefused as error:
        raise _refused(f"{error}; refer to a file with it, like ${{file:ca.pem}}") from None
    return value


def _server_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise _refused(f'"{value}" is not the name of a server: write it like crm.internal', "invalid_value")
    return value.lower()


CertificateText = Annotated[str, AfterValidator(_certificates)]


class UpstreamTls(Settings):
    """Certificates and keys are PEM texts, by reference to a file; "" is what stands in the description."""

    ca: CertificateText = Field(
        "",
        examples=["${file:ca.pem}"],
        description="Who signs their certificates; the system's authorities if left out.",
    )
    server_name: Annotated[str, AfterValidator(_server_name), written(f"^(?:{_NAME.pattern})$", "crm.internal")] = (
        Field(
            "",
            examples=["crm.internal"],
            description="The name that is asked for and has to be in the certificate; the endpoint's host if left out.",
        )
    )
    client_cert: CertificateText = Field(
        "", examples=["${file:own.pem}"], description="The gateway's own certificate, with its chain."
    )
    client_key: str = Field("", repr=False, examples=["${file:own.key}"], description="The private key of client_cert.")
    verify: bool = Field(True, description="false takes any certificate: then anybody on the way can be the upstream.")

    @field_validator("client_key")
    @classmethod
    def _fits(cls, value: str, info: ValidationInfo) -> str:
        certificate = info.data.get("client_cert")
        try:
            if certificate:
                check_key(read_leaf(certificate), value)
        except CertificateRefused as error:
            raise _refused(f"{error}; refer to a file with it, like ${{file:key.pem}}") from None
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> "UpstreamTls":
        if bool(self.client_cert) != bool(self.client_key):
            raise _refused("client_cert and client_key go together")
        if self.ca and not self.verify:
            raise _refused("verify: false takes any certificate, so ca has nothing to do beside it", "invalid_value")
        try:
            client_context(self.ca, self.client_cert, self.client_key, verify=self.verify)
        except CertificateRefused as error:
            raise _refused(str(error)) from None
        return self
