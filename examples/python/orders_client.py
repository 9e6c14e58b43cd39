"""Calls the API at WRIT_API with a token that Authlib obtains and renews."""

import os

from authlib.integrations.requests_client import OAuth2Session

issuer = os.environ["WRIT_ISSUER"]

session = OAuth2Session(
    os.environ["WRIT_CLIENT_ID"],
    os.environ["WRIT_CLIENT_SECRET"],
    token_endpoint=issuer + "/token",
    grant_type="client_credentials",  # what to do again when the token has expired
    scope="orders:read",
)
session.fetch_token(resource=os.environ["WRIT_RESOURCE"])
print(session.get(os.environ["WRIT_API"] + "/orders").text)
