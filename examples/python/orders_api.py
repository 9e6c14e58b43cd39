"""An API that takes Writ's tokens: GET /orders needs the scope orders:read.

flask --app orders_api run --port 8087
"""

import os

import requests
from authlib.integrations.flask_oauth2 import ResourceProtector, current_token
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from flask import Flask
from joserfc.jwk import KeySet

issuer = os.environ["WRIT_ISSUER"]


class Tokens(JWTBearerTokenValidator):
    def get_jwks(self):
        # Published a day before they sign: keep them for minutes in an API that has more to do.
        return KeySet.import_key_set(requests.get(issuer + "/jwks", timeout=3).json())


require = ResourceProtector()
require.register_token_validator(Tokens(issuer=issuer, resource_server=os.environ["WRIT_RESOURCE"]))
app = Flask(__name__)


@app.get("/orders")
@require("orders:read")
def orders():
    return {"orders": [{"id": "1"}], "for": current_token["client_id"]}
