"""An issuer without a server: a key, its JWKS in a file, and the tokens it signs."""

import json
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER = "https://issuer.e2e.test"
AUDIENCE = "sluice"

# Who is in which group. The service account shows itself as client credentials
# do: its subject is the client.
PEOPLE = {
    "alice": ["model-admin"],
    "bob": ["model-viewer"],
    "mallory": [],
    "partial": [],
    "operator": ["operators"],
    "keeper": ["shm-keepers"],
    "poacher": ["shm-keepers"],
}


class Issuer:
    """Signs tokens with a key that the JWKS file publishes."""

    def __init__(self, folder, kid="e2e-1"):
        self.kid = kid
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.jwks = Path(folder) / "jwks.json"
        self.publish(self.public_jwk())

    def public_jwk(self):
        jwk = jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**jwk, "kid": self.kid, "alg": "ES256", "use": "sig"}

    def publish(self, *keys):
        self.jwks.write_text(json.dumps({"keys": list(keys)}))

    def token(self, name, **changes):
        """A valid access token of one of PEOPLE, or of the service account ci.

        A change replaces a claim, or takes it away where it is None.
        """
        claims = {k: v for k, v in {**self.claims(name), **changes}.items() if v is not None}
        return self.sign(claims)

    def claims(self, name):
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": name, "iat": now, "exp": now + 3600}
        if name == "ci":
            return {**claims, "azp": "ci", "client_id": "ci"}
        return {**claims, "name": name, "preferred_username": name, "groups": PEOPLE[name]}

    def sign(self, claims, key=None, algorithm="ES256", **header):
        headers = {"kid": self.kid, "typ": "at+jwt", **header}
        return jwt.encode(claims, key or self.key, algorithm=algorithm, headers=headers)
