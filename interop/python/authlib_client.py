"""Authlib as client and as resource server, joserfc as validator."""

import json
import os

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc6750.errors import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

FIXTURE = json.loads(os.environ["INTEROP"])
ISSUER = FIXTURE["issuer"]
METADATA = requests.get(ISSUER + "/.well-known/oauth-authorization-server", timeout=10).json()
SCOPE = "orders:read orders:write"


def ok(claim):
    print("ok", claim)


def refused(error, call):
    """Returns the error that call must raise."""
    try:
        call()
    except error as raised:
        return raised
    raise AssertionError(f"{error.__name__} was not raised")


def session(party, method="client_secret_basic"):
    return OAuth2Session(
        party["id"], party["secret"], token_endpoint_auth_method=method, revocation_endpoint_auth_method=method, scope=SCOPE
    )


def fetch(party, resource, method="client_secret_basic"):
    token = session(party, method).fetch_token(METADATA["token_endpoint"], grant_type="client_credentials", resource=resource)
    assert token["token_type"] == "Bearer" and token["expires_in"] == 300, token
    return token["access_token"]


def keys():
    return requests.get(METADATA["jwks_uri"], timeout=10).json()


def changed(token):
    """Returns the token with another signature."""
    return token[:-20] + ("B" if token[-20] == "A" else "A") + token[-19:]


class Validator(JWTBearerTokenValidator):
    def get_jwks(self):
        return keys()


def clients():
    basic, post, resource = FIXTURE["basic"], FIXTURE["post"], FIXTURE["resource"]
    token = fetch(basic, resource)
    ok("token with client_secret_basic")
    fetch(post, resource, "client_secret_post")
    ok("token with client_secret_post")
    error = refused(OAuthError, lambda: fetch({"id": basic["id"], "secret": "wrong"}, resource))
    assert error.error == "invalid_client", error
    ok("wrong secret is invalid_client")
    return token


def resource_server(token):
    validator = Validator(ISSUER, FIXTURE["resource"])
    validator.validate_token(validator.authenticate_token(token), ["orders:read"], None)
    ok("RFC 9068 validator of Authlib accepts the token")
    other = Validator(ISSUER, "https://other.example")
    refused(InvalidTokenError, lambda: other.validate_token(other.authenticate_token(token), [], None))
    ok("RFC 9068 validator of Authlib refuses another audience")
    refused(InsufficientScopeError, lambda: validator.validate_token(validator.authenticate_token(token), ["orders:delete"], None))
    ok("RFC 9068 validator of Authlib refuses a missing scope")


def algorithms():
    key_set = KeySet.import_key_set(keys())
    for algorithm, signed in FIXTURE["algorithms"].items():
        token = fetch(signed["client"], signed["resource"])
        decoded = jwt.decode(token, key_set, algorithms=[algorithm])
        assert decoded.header["typ"] == "at+jwt" and decoded.header["alg"] == algorithm, decoded.header
        jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": signed["resource"]}, exp={"essential": True}
        ).validate(decoded.claims)
        assert decoded.claims["client_id"] == signed["client"]["id"] and decoded.claims["scope"] == SCOPE, decoded.claims
        ok(f"{algorithm} with joserfc")
    refused(BadSignatureError, lambda: jwt.decode(changed(token), key_set, algorithms=[algorithm]))
    ok("a changed token is refused")


def introspection_and_revocation(token):
    caller, client = session(FIXTURE["caller"]), session(FIXTURE["basic"])

    def introspect():
        return caller.introspect_token(METADATA["introspection_endpoint"], token=token).json()

    found = introspect()
    assert found["active"] is True and found["client_id"] == FIXTURE["basic"]["id"] and found["scope"] == SCOPE, found
    ok("introspection")
    response = client.revoke_token(METADATA["revocation_endpoint"], token=token)
    assert response.status_code == 200, response
    assert introspect() == {"active": False}
    ok("revocation")


ACCESS_TOKEN = clients()
resource_server(ACCESS_TOKEN)
algorithms()
introspection_and_revocation(ACCESS_TOKEN)
