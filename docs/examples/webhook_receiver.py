#!/usr/bin/env python3
"""Receives what a OneTap verifier tells (docs/webhook.md): verifies each message with the library of Standard Webhooks
(pip install standardwebhooks), keeps its id so that a copy is not taken twice, and prints its topic.

ONETAP_WEBHOOK_SECRETS has the secrets that `onetap verifier outbox secret` has shown, apart by spaces: the old one and the new one
while one follows the other.
"""

import argparse
import json
import os
import sqlite3
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY = 64 * 1024
SECRETS = [Webhook(secret) for secret in os.environ["ONETAP_WEBHOOK_SECRETS"].split()]


def verified(body: bytes, headers: dict) -> bool:
    """Whether one of the secrets has signed this, not long ago."""
    for secret in SECRETS:
        try:
            secret.verify(body, headers)
            return True
        except WebhookVerificationError:
            pass
    return False


class Receiver(BaseHTTPRequestHandler):
    """Takes a message once it is kept; whatever is not 2xx comes again."""

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(min(length, MAX_BODY))
        if not verified(body, {name.lower(): value for name, value in self.headers.items()}):
            self.answer(401)
            return
        message = json.loads(body)
        with self.server.seen:
            new = self.server.seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (message["id"],)).rowcount
        if new:
            print(message["topic"], message["id"], flush=True)
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """The messages themselves are told; requests are not."""


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8090)
    options.add_argument("--seen", default="seen.db", help="where the ids are kept")
    chosen = options.parse_args()
    server = HTTPServer(("127.0.0.1", chosen.port), Receiver)
    server.seen = sqlite3.connect(chosen.seen)
    server.seen.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY)")
    print(f"listening at http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
