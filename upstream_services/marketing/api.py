"""What Marketing answers under /marketing."""

from upstream_services.kit.app import Service
from upstream_services.kit.transfer import exporting, importing
from upstream_services.marketing import public, reports
from upstream_services.marketing.campaigns import campaigns, send_campaign, send_test, start_campaign
from upstream_services.marketing.forms import form_submissions, forms
from upstream_services.marketing.models import Base
from upstream_services.marketing.pages import deliveries, events, landing_pages, links, post_is_due, social_posts
from upstream_services.marketing.people import audiences, subscribers, subscribers_of_audience
from upstream_services.marketing.sequences import (
    enrol_audience,
    enrolments,
    resume,
    send_step,
    sequence_steps,
    sequences,
)
from upstream_services.marketing.templates import PUBLIC_URL, templates
from upstream_services.marketing.webhooks import ALLOW, tell_webhook, webhook_client, webhooks

import_subscribers, subscribers_import = importing(subscribers)
export_subscribers, subscribers_export = exporting(subscribers)
export_submissions, submissions_export = exporting(form_submissions)

SERVICE = Service(
    name="marketing",
    port=8104,
    metadata=Base.metadata,
    resources=(
        *(campaigns, templates, audiences, subscribers, deliveries, sequences, sequence_steps, enrolments),
        *(forms, form_submissions, landing_pages, links, events, social_posts, webhooks),
    ),
    operations=(
        *(subscribers_of_audience, subscribers_import, subscribers_export, submissions_export),
        *reports.REPORTS,
        *public.OPERATIONS,
    ),
    jobs=(
        *(send_campaign, start_campaign, send_test, send_step, resume, enrol_audience, post_is_due, tell_webhook),
        *(import_subscribers, export_subscribers, export_submissions),
    ),
    contexts=(webhook_client,),
    flags=(PUBLIC_URL, ALLOW),
)
