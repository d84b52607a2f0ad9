"""Pays with a client that was generated from the OpenAPI document. Arguments: where the client is, the service's address, a token,
a file with the request's body, and one with the cancellation's."""

import importlib
import json
import sys
import uuid

folder, address, token, request, cancellation = sys.argv[1:]
sys.path.insert(0, folder)
models = importlib.import_module("onetap_verifier_client.models")
Client = importlib.import_module("onetap_verifier_client").AuthenticatedClient


def call(name: str, *args, **named):
    """One operation, with the whole answer."""
    module = importlib.import_module(f"onetap_verifier_client.api.authorisations.{name}")
    return module.sync_detailed(*args, client=client, **named)


client = Client(base_url=address, token=token)
body = models.Authorisation.from_dict(json.load(open(request)))
key = str(uuid.uuid4())
paid = call("authorise", body=body, idempotency_key=key)
assert paid.status_code == 200, paid
receipt = paid.parsed.receipt
assert paid.parsed.outcome == "executed" and receipt.amount == 1234 and receipt.payee_name == "Coffee Shop", paid.parsed
again = call("authorise", body=body, idempotency_key=key)
assert again.parsed.receipt.transaction == receipt.transaction, again
found = call("show_transaction", receipt.transaction)
assert found.parsed.receipt.executed_at == receipt.executed_at and found.parsed.terminal == "TERM0001", found
ended = call("cancel", body=models.Cancellation.from_dict(json.load(open(cancellation))))
assert ended.status_code == 200 and ended.parsed.outcome == "executed", ended
missing = call("show_transaction", "0" * 24)
assert missing.status_code == 404 and missing.parsed.type_ == "urn:onetap:problem:not-found", missing
