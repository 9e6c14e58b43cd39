"""Authlib as a client with private_key_jwt."""

import json
import os

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from joserfc.jwk import JWKRegistry

FIXTURE = json.loads(os.environ["INTEROP"])
ISSUER, RESOURCE = FIXTURE["issuer"], FIXTURE["resource"]
METADATA = requests.get(ISSUER + "/.well-known/oauth-authorization-server", timeout=10).json()
SCOPE = "orders:read orders:write"


def ok(claim):
    print("ok", claim)


# What Authlib signs of itself is for the token endpoint and lives for an hour. This stands in docs/auth-private-key-jwt.md.
class Assertion(PrivateKeyJWT):
    def sign(self, auth, token_endpoint):
        return private_key_jwt_sign(
            auth.client_secret, auth.client_id, ISSUER, alg=self.alg, header={"kid": auth.client_secret.kid}, expires_in=60
        )


def session(party, method):
    made = OAuth2Session(
        party["id"],
        JWKRegistry.import_key(party["jwk"]),
        scope=SCOPE,
        token_endpoint_auth_method=method.name,
        revocation_endpoint_auth_method=method.name,
    )
    made.register_client_auth_method(method)
    return made


def fetch(made):
    token = made.fetch_token(METADATA["token_endpoint"], grant_type="client_credentials", resource=RESOURCE)
    assert token["token_type"] == "Bearer" and token["expires_in"] == 300, token
    return token["access_token"]


def tokens():
    for algorithm, party in FIXTURE["assertion"].items():
        made = session(party, Assertion(alg=algorithm))
        token = fetch(made)
        fetch(made)
        assert made.get(RESOURCE).json() == {"orders": []}
        assert requests.get(RESOURCE, headers={"Authorization": "Bearer " + token[:-9]}, timeout=10).status_code == 401
        ok(f"private_key_jwt with {algorithm}")


def defaults():
    party = FIXTURE["assertion"]["ES256"]
    try:
        fetch(session(party, PrivateKeyJWT(alg="ES256")))
    except OAuthError as error:
        assert error.error == "invalid_client", error
        ok("an assertion for the token endpoint is invalid_client")


def introspection_and_revocation():
    caller, client = (session(party, Assertion(alg="ES256")) for party in (FIXTURE["caller"], FIXTURE["assertion"]["ES256"]))
    token = fetch(client)

    def introspect():
        return caller.introspect_token(METADATA["introspection_endpoint"], token=token).json()

    assert introspect()["client_id"] == FIXTURE["assertion"]["ES256"]["id"]
    assert client.revoke_token(METADATA["revocation_endpoint"], token=token).status_code == 200
    assert introspect() == {"active": False}
    ok("introspection and revocation with private_key_jwt")


tokens()
defaults()
introspection_and_revocation()
