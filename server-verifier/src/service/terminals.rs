//! Terminals that may send requests.

use onetap_apdu_spec::txn::TerminalId;

use crate::books;
use crate::books::accounts::OPERATOR;
use crate::books::sql::{Sql, params};
use crate::domain::{Event, MAX_PAGE, StoreError, TerminalView, Timestamp};
use crate::service::desk::Desk;
use crate::service::error::ServiceError;
use crate::service::{Client, Verifier};

impl Desk<'_> {
    /// Registers a terminal, or finds it registered.
    ///
    /// # Errors
    /// [`ServiceError::ReasonNeeded`]; [`ServiceError::NoSuchTerminal`] if it was withdrawn.
    pub fn register_terminal(&self, terminal: TerminalId) -> Result<Client, ServiceError> {
        self.reasoned()?;
        let now = self.now();
        self.write(|db| match standing(db, &terminal)? {
            Standing::Registered => Ok(Client { terminal }),
            Standing::Withdrawn => Err(ServiceError::NoSuchTerminal),
            Standing::Unknown => {
                self.tell(db, OPERATOR, now, &Event::TerminalRegistered { terminal: terminal.clone() })?;
                Ok(Client { terminal })
            }
        })
    }

    /// Withdraws a terminal: no client can be made for it any more.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchTerminal`], also if it was withdrawn before; [`ServiceError::ReasonNeeded`].
    pub fn withdraw_terminal(&self, terminal: &TerminalId) -> Result<(), ServiceError> {
        self.reasoned()?;
        let now = self.now();
        self.write(|db| match standing(db, terminal)? {
            Standing::Registered => {
                self.tell(db, OPERATOR, now, &Event::TerminalWithdrawn { terminal: terminal.clone() })?;
                Ok(())
            }
            Standing::Withdrawn | Standing::Unknown => Err(ServiceError::NoSuchTerminal),
        })
    }
}

impl Verifier {
    /// The client of a terminal that is registered already.
    ///
    /// # Errors
    /// [`ServiceError::NoSuchTerminal`].
    pub fn client(&self, terminal: TerminalId) -> Result<Client, ServiceError> {
        match self.store.read(|db| standing(db, &terminal))? {
            Standing::Registered => Ok(Client { terminal }),
            Standing::Withdrawn | Standing::Unknown => Err(ServiceError::NoSuchTerminal),
        }
    }
}

impl Verifier {
    /// The terminals by their ids, withdrawn ones too, after one of them, `limit` of them at most and never more than
    /// [`MAX_PAGE`].
    ///
    /// # Errors
    /// [`ServiceError`] if the store fails.
    pub fn terminals(
        &self,
        after: Option<&TerminalId>,
        limit: u32,
    ) -> Result<Vec<TerminalView>, ServiceError> {
        let sql = "SELECT terminal_id, registered_at, withdrawn_at FROM terminals
            WHERE terminal_id > ?1 ORDER BY terminal_id LIMIT ?2";
        let after = after.map_or("", TerminalId::as_str);
        self.store.read(|db| {
            Ok(db.all(sql, &params![after, limit.min(MAX_PAGE)], |row| {
                Ok(TerminalView {
                    terminal: books::parse(row.text("terminal_id")?, "terminal")?,
                    registered_at: Timestamp(row.int("registered_at")?),
                    withdrawn_at: row.opt_int("withdrawn_at")?.map(Timestamp),
                })
            })?)
        })
    }
}

/// How a terminal stands.
pub(super) enum Standing {
    Unknown,
    Registered,
    Withdrawn,
}

pub(super) fn standing(db: &mut dyn Sql, terminal: &TerminalId) -> Result<Standing, StoreError> {
    let sql = "SELECT withdrawn_at FROM terminals WHERE terminal_id = ?1";
    let row = db.first(sql, &params![terminal.as_str()], |row| row.opt_int("withdrawn_at"))?;
    Ok(match row {
        None => Standing::Unknown,
        Some(None) => Standing::Registered,
        Some(Some(_)) => Standing::Withdrawn,
    })
}
