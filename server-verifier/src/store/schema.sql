-- Schema version 2. Every table that grows is keyed by account first, so that one account is one shard.
-- Moments are seconds since 1970, amounts minor units. docs/data-model.md explains each table.
-- Written for SQLite; store/schema.rs spells it for PostgreSQL. In SQLite small rows lie where their key is; large ones, which are never changed,
-- one after another, so that a commit of many decisions writes few pages.

CREATE TABLE server (
    one       INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    server_id TEXT NOT NULL,
    operator  TEXT NOT NULL,
    policy    TEXT NOT NULL
) STRICT;

CREATE TABLE terminals (
    terminal_id   TEXT NOT NULL PRIMARY KEY,
    registered_at INTEGER NOT NULL,
    withdrawn_at  INTEGER
) STRICT;

-- Who may speak to the service, as what, and how it shows that. Secrets are stored as Argon2 hashes.
CREATE TABLE clients (
    client_id    TEXT NOT NULL PRIMARY KEY,
    role         TEXT NOT NULL CHECK (role IN ('terminal', 'operator', 'auditor', 'admin')),
    terminal_id  TEXT REFERENCES terminals,
    secret_hash  TEXT,
    certificate  BLOB,
    added_at     INTEGER NOT NULL,
    withdrawn_at INTEGER,
    CHECK ((role = 'terminal') = (terminal_id IS NOT NULL)),
    CHECK (secret_hash IS NOT NULL OR certificate IS NOT NULL)
) STRICT;
CREATE UNIQUE INDEX clients_by_certificate ON clients (certificate);

-- Row 0 is the operator: the home of its own audit chain. An equity account per currency is the other side of
-- opening balances; only it may be negative. A balance does not contain the credits below.
CREATE TABLE accounts (
    account_id     INTEGER PRIMARY KEY,
    number         TEXT UNIQUE,
    holder         TEXT NOT NULL,
    currency       TEXT,
    kind           TEXT NOT NULL CHECK (kind IN ('current', 'stored-value', 'equity', 'operator')),
    balance        INTEGER NOT NULL DEFAULT 0 CHECK (balance >= 0 OR kind = 'equity'),
    held           INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    is_open        INTEGER NOT NULL DEFAULT 1 CHECK (is_open IN (0, 1)),
    locked_at      INTEGER,
    lock_cause     TEXT,
    wrong_in_a_row INTEGER NOT NULL DEFAULT 0 CHECK (wrong_in_a_row >= 0),
    audit_sequence INTEGER NOT NULL DEFAULT 0,
    audit_seal     BLOB NOT NULL,
    audit_head     BLOB NOT NULL,
    CHECK ((locked_at IS NULL) = (lock_cause IS NULL)),
    CHECK ((number IS NULL) = (kind IN ('equity', 'operator')))
) STRICT;
CREATE UNIQUE INDEX one_equity_account_per_currency ON accounts (currency) WHERE kind = 'equity';
CREATE INDEX locked_accounts ON accounts (locked_at) WHERE locked_at IS NOT NULL;

-- What changes of a card. Its keys older than the newest are good until `older_until`.
CREATE TABLE cards (
    account_id       INTEGER NOT NULL REFERENCES accounts,
    card_id          TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('ordered', 'active', 'blocked')),
    newest_key       INTEGER NOT NULL,
    older_until      INTEGER,
    mark_counter     INTEGER,
    mark_fingerprint BLOB,
    mark_life        TEXT CHECK (mark_life IN ('alive', 'executed', 'dead')),
    mark_wrong       INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, card_id),
    CHECK ((mark_counter IS NULL) = (mark_life IS NULL)),
    CHECK ((mark_counter IS NULL) = (mark_fingerprint IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX cards_by_id ON cards (card_id);

-- What does not change of a card: its bindings and public keys, by the version of its signing key.
CREATE TABLE card_keys (
    account_id  INTEGER NOT NULL REFERENCES accounts,
    card_id     TEXT NOT NULL,
    signing_key INTEGER NOT NULL,
    binding     TEXT NOT NULL,
    rsa_bits    INTEGER NOT NULL,
    public_key  BLOB,
    PRIMARY KEY (account_id, card_id, signing_key)
) STRICT, WITHOUT ROWID;

-- Wrong passwords since the last unlock, for the windowed count.
CREATE TABLE wrong_passwords (
    account_id INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    PRIMARY KEY (account_id, at, sequence)
) STRICT, WITHOUT ROWID;

-- What was executed, with the evidence: the bytes that were signed, and where the audit chain has it.
CREATE TABLE transactions (
    account_id INTEGER NOT NULL,
    card_id    TEXT NOT NULL,
    counter    INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    message    BLOB NOT NULL,
    signature  BLOB NOT NULL,
    PRIMARY KEY (account_id, card_id, counter)
) STRICT;

-- Double entry: the legs of one transaction sum to zero.
CREATE TABLE entries (
    account_id     INTEGER NOT NULL,
    transaction_id TEXT NOT NULL,
    amount         INTEGER NOT NULL CHECK (amount <> 0),
    at             INTEGER NOT NULL,
    PRIMARY KEY (account_id, transaction_id)
) STRICT, WITHOUT ROWID;

-- Money that has come in and is not yet gathered into the balance: who pays need not lock who is paid.
CREATE TABLE credits (
    account_id     INTEGER NOT NULL,
    transaction_id TEXT NOT NULL,
    amount         INTEGER NOT NULL CHECK (amount > 0),
    PRIMARY KEY (account_id, transaction_id)
) STRICT, WITHOUT ROWID;

-- Requests that were answered, by client and idempotency key; the audit entry tells how. The body's tag is keyed:
-- it does not betray what was typed.
CREATE TABLE requests (
    account_id      INTEGER NOT NULL,
    terminal_id     TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    body            BLOB NOT NULL,
    sequence        INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    PRIMARY KEY (account_id, terminal_id, idempotency_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    account_id INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    event      TEXT NOT NULL,
    seal       BLOB NOT NULL,
    PRIMARY KEY (account_id, sequence)
) STRICT;

-- What others are to be told, at least once each.
CREATE TABLE outbox (
    account_id INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    topic      TEXT NOT NULL,
    body       TEXT NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    due_at     INTEGER NOT NULL,
    PRIMARY KEY (account_id, sequence, topic)
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_by_due ON outbox (due_at);
