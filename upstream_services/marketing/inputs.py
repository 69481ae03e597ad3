"""Types of fields that only Marketing has: column and input rule in one, as in the kit's `fields.py`."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from sqlalchemy import Text as LongText
from sqlalchemy.orm import mapped_column

from upstream_services.kit.validation import Body

HTML_MAX = 200_000
VALUE_MAX = 2000

Html = Annotated[str, StringConstraints(max_length=HTML_MAX), mapped_column(LongText)]
Key = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Value = Annotated[str, StringConstraints(max_length=VALUE_MAX)]
Attributes = Annotated[dict[Key, Value], Field(max_length=50)]


class FormField(Body):
    """A field of a form; one of type `email` named "email" is who submits it, "name" and "phone" are theirs as well."""

    name: Key
    label: Label
    type: Literal["text", "email", "phone", "number", "date", "choice", "checkbox"] = "text"
    required: bool = False
    options: Annotated[list[Label], Field(max_length=100)] = []


FormFields = Annotated[list[FormField], Field(min_length=1, max_length=50)]

WebhookEvent = Literal[
    "campaign.started", "campaign.finished", "form.submitted", "link.clicked", "message.bounced", "social_post.due",
    "subscriber.subscribed", "subscriber.unsubscribed",
]  # fmt: skip
WebhookEvents = Annotated[list[WebhookEvent], Field(min_length=1, max_length=20)]
