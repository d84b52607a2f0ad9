-- Schema version 5: the log is the whole truth. An entry says who and why, and has the request's key and body and the evidence of what was
-- executed; the other tables are projections of it (docs/data-model.md).

ALTER TABLE audit ADD COLUMN actor TEXT;
ALTER TABLE audit ADD COLUMN reason TEXT;
ALTER TABLE audit ADD COLUMN idempotency_key TEXT;
ALTER TABLE audit ADD COLUMN body BLOB;
ALTER TABLE audit ADD COLUMN message BLOB;
ALTER TABLE audit ADD COLUMN signature BLOB;
ALTER TABLE audit ADD COLUMN object BLOB;
UPDATE audit SET message = t.message, signature = t.signature, object = t.object FROM transactions t
    WHERE t.account_id = audit.account_id AND t.sequence = audit.sequence;

CREATE TABLE transactions_by_card (
    account_id INTEGER NOT NULL,
    card_id    TEXT NOT NULL,
    counter    INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    PRIMARY KEY (account_id, card_id, counter)
) STRICT, WITHOUT ROWID;
INSERT INTO transactions_by_card SELECT account_id, card_id, counter, sequence FROM transactions;
DROP TABLE transactions;
ALTER TABLE transactions_by_card RENAME TO transactions;

-- An account's own chain tells what it paid. A row here is what an account got by the chain of another one, in the order of
-- time; an older version made one for each account that took part.
CREATE TABLE entries_in_time (
    account_id     INTEGER NOT NULL,
    at             INTEGER NOT NULL,
    transaction_id TEXT NOT NULL,
    amount         INTEGER NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (account_id, at, transaction_id)
) STRICT, WITHOUT ROWID;
INSERT INTO entries_in_time SELECT account_id, at, transaction_id, amount FROM entries;

-- What was reversed, by who got the money back.
CREATE TABLE reversals (
    account_id     INTEGER NOT NULL,
    transaction_id TEXT NOT NULL,
    PRIMARY KEY (account_id, transaction_id)
) STRICT, WITHOUT ROWID;
INSERT INTO reversals SELECT account_id, transaction_id FROM entries
    WHERE transaction_id LIKE 'reversal-%' AND amount > 0;

DROP TABLE entries;
ALTER TABLE entries_in_time RENAME TO entries;

-- The log is searched in the order of time.
CREATE INDEX audit_by_time ON audit (at, account_id, sequence);

-- A client has tokens, so that one follows another without a pause, and terminals, so that a host speaks for all of its own.
CREATE TABLE clients_alone (
    client_id    TEXT NOT NULL PRIMARY KEY,
    role         TEXT NOT NULL CHECK (role IN ('terminal', 'operator', 'auditor', 'admin')),
    certificate  BLOB,
    added_at     INTEGER NOT NULL,
    withdrawn_at INTEGER
) STRICT;
INSERT INTO clients_alone SELECT client_id, role, certificate, added_at, withdrawn_at FROM clients;
CREATE TABLE tokens (
    client_id   TEXT NOT NULL,
    token       INTEGER NOT NULL,
    secret_hash TEXT NOT NULL,
    made_at     INTEGER NOT NULL,
    expires_at  INTEGER,
    PRIMARY KEY (client_id, token)
) STRICT, WITHOUT ROWID;
INSERT INTO tokens SELECT client_id, 1, secret_hash, added_at, NULL FROM clients WHERE secret_hash IS NOT NULL;
CREATE TABLE client_terminals (
    client_id   TEXT NOT NULL,
    terminal_id TEXT NOT NULL,
    linked_at   INTEGER NOT NULL,
    PRIMARY KEY (client_id, terminal_id)
) STRICT, WITHOUT ROWID;
INSERT INTO client_terminals SELECT client_id, terminal_id, added_at FROM clients WHERE terminal_id IS NOT NULL;
DROP TABLE clients;
ALTER TABLE clients_alone RENAME TO clients;
CREATE UNIQUE INDEX clients_by_certificate ON clients (certificate);

-- Which version of the webhook's key signs what is sent, and until when the one before signs beside it.
ALTER TABLE server ADD COLUMN webhook_key INTEGER NOT NULL DEFAULT 0;
ALTER TABLE server ADD COLUMN webhook_until INTEGER NOT NULL DEFAULT 0;

-- Money to be moved by hand: what is asked for, by whom and why, is in the entry of the operator's chain that names the proposal.
CREATE TABLE proposals (
    proposal   INTEGER NOT NULL PRIMARY KEY,
    state      TEXT NOT NULL CHECK (state IN ('open', 'approved', 'rejected')),
    asked_at   INTEGER NOT NULL,
    decided_at INTEGER,
    CHECK ((state = 'open') = (decided_at IS NULL))
) STRICT;
