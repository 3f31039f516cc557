"""The OpenAPI document is honest: schemathesis finds nothing that it does not say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from pleinair import answers
from pleinair.guard import ANY
from pleinair.web import make_app

from .serving import LIMITS, copyist, jpeg, saved

PHOTOS = st.sampled_from([jpeg(), saved("PNG"), saved("WEBP"), saved("GIF")])
APP = make_app(copyist(), replace(LIMITS, at_once_pixels=4_000_000), hosts=ANY)
# A document cannot say that a file has to be a picture's: what is none is answered with 415.
schemathesis.openapi.format("binary", PHOTOS)
for kind in [*answers.TYPES.values(), "application/octet-stream"]:
    schemathesis.openapi.media_type(kind, PHOTOS)
CONFIG = schemathesis.Config.from_path(Path(__file__).with_name("schemathesis.toml"))
schema = schemathesis.openapi.from_asgi("/openapi.json", APP, config=CONFIG)


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_the_document_is_honest(case):
    case.call_and_validate()
