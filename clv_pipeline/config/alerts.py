"""The `alerts:` block of `clv.yaml`: who is told when a run fails. Without it nobody is told.

The webhook's address and the mail password are secrets: they are written as `${VARIABLE}` and never shown.
"""

from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from clv_pipeline.config.block import Block

SECRETS = {
    ("alerts", "webhook"): "CLV_ALERT_WEBHOOK",
    ("alerts", "email", "password"): "CLV_ALERT_EMAIL_PASSWORD",
}
"""Keys whose value must come from the environment, and the variable that errors propose."""


WebhookFormat = Literal["text", "adaptive_card"]


class Email(Block):
    """A mail server and the people it writes to."""

    to: list[str] = Field(min_length=1)
    """Addresses; one may be written without the list."""
    sender: str = Field(alias="from")
    """The address that mails come from."""
    host: str = Field(min_length=1)
    """The mail server."""
    port: int = Field(default=587, ge=1, le=65535)
    """The port of the mail server."""
    encryption: Literal["starttls", "tls", "none"] = "starttls"
    """`starttls` upgrades a plain connection (usually port 587), `tls` encrypts from the start (usually 465)."""
    username: str | None = None
    """The name to log in with, together with a password; neither where the server needs none."""
    password: SecretStr | None = None
    """The password to log in with: `${CLV_ALERT_EMAIL_PASSWORD}`, never the password itself."""

    @field_validator("to", mode="before", json_schema_input_type=str | list[str])
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("to", "sender")
    @classmethod
    def _addresses(cls, value: str | list[str]) -> str | list[str]:
        for address in [value] if isinstance(value, str) else value:
            name, at, domain = address.partition("@")
            if not (name and at and domain) or "@" in domain or not address.isprintable() or " " in address:
                raise ValueError("should be an address such as data@example.com")
        return value

    @model_validator(mode="after")
    def _credentials_travel_encrypted(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.password is not None and self.encryption == "none":
            raise ValueError("encryption: none would send the password in the clear; use starttls or tls")
        return self


class Alerts(Block):
    """Where the message about a failed run goes: to a webhook, by e-mail, to both, or nowhere."""

    webhook: SecretStr | None = None
    """`${CLV_ALERT_WEBHOOK}`, never the address itself: an http(s) address that takes JSON."""
    webhook_format: WebhookFormat = "text"
    """`text` is JSON with a `text`, for Slack and Mattermost, and the same as fields. `adaptive_card` is for workflows
    of Microsoft Teams."""
    email: Email | None = None
    """The mail server and the people it writes to."""
    ui_url: str = Field(default="http://127.0.0.1:3000", pattern=r"^https?://[^\s/]+[^\s]*$")
    """Address at which readers of a message open the Dagster UI."""

    @field_validator("webhook", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        # ${CLV_ALERT_WEBHOOK:-} is how one clv.yaml serves a machine with a webhook and one without.
        return value or None

    @field_validator("webhook")
    @classmethod
    def _web_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            text = value.get_secret_value()
            host = text.partition("://")[2].partition("/")[0]
            if not text.startswith(("https://", "http://")) or not host or not text.isprintable() or " " in text:
                raise ValueError("should be an address that starts with https:// or http://")
        return value

    @property
    def configured(self) -> bool:
        """Whether anybody is told."""
        return self.webhook is not None or self.email is not None
