-- Schema version 3: holds, accounts that another system keeps, an outbox that others are told from, whole evidence.

-- So much of a balance is held. With `system`: a transaction that this system is asked to book; open is
-- accepted, captured is settled, released is failed. `sequence` is the place of its event in the account's chain.
CREATE TABLE holds (
    account_id INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    amount     INTEGER NOT NULL CHECK (amount > 0),
    state      TEXT NOT NULL CHECK (state IN ('open', 'captured', 'released')),
    captured   INTEGER NOT NULL DEFAULT 0 CHECK (captured BETWEEN 0 AND amount),
    payee_id   INTEGER,
    system     TEXT,
    placed_at  INTEGER NOT NULL,
    closed_at  INTEGER,
    PRIMARY KEY (account_id, sequence),
    CHECK ((state = 'open') = (closed_at IS NULL)),
    CHECK ((state = 'captured') = (captured > 0))
) STRICT, WITHOUT ROWID;

-- What the card owed besides S (E, D(E) or D(pw)): with it the signature can be checked again years later.
ALTER TABLE transactions ADD COLUMN object BLOB;

-- Who keeps the books of a stored value, if not this server; of an equity account: whom it settles with.
ALTER TABLE accounts ADD COLUMN system TEXT CHECK (system IS NULL OR kind IN ('stored-value', 'equity'));
DROP INDEX one_equity_account_per_currency;
CREATE UNIQUE INDEX one_equity_account ON accounts (currency, coalesce(system, '')) WHERE kind = 'equity';

-- A message that nobody took: it and the account's later ones wait for the operator.
ALTER TABLE outbox DROP COLUMN body;
ALTER TABLE outbox ADD COLUMN dead_at INTEGER;
ALTER TABLE outbox ADD COLUMN failure TEXT;
CREATE INDEX dead_letters ON outbox (dead_at) WHERE dead_at IS NOT NULL;

-- Whether a message is written for each transaction: somebody is to be told.
ALTER TABLE server ADD COLUMN announces INTEGER NOT NULL DEFAULT 0 CHECK (announces IN (0, 1));
