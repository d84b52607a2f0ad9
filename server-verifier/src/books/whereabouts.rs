//! In which shard an account is, as its chain tells: what it books while it is at home is in the books of that shard.

use crate::books::OPERATOR;
use crate::domain::{Event, Shard, StoreError};

/// Where an account is, as far as its chain was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whereabouts {
    /// The shard whose database is read.
    here: Shard,
    home: Home,
    /// To which shard the last entry has it move.
    leaves_for: Option<Shard>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// In this shard.
    Here,
    /// In another one, to which it has moved from here.
    Left,
    /// In another one, from which it has not come yet.
    Elsewhere,
}

impl Whereabouts {
    /// Before the first entry: in the shard in which the account is opened.
    pub(crate) fn begin(account: i64, here: Shard) -> Self {
        let opened_here = account == OPERATOR || Shard::of_row(account) == Some(here);
        let home = if opened_here { Home::Here } else { Home::Elsewhere };
        Self { here, home, leaves_for: None }
    }

    /// In this shard.
    pub(crate) fn at_home(here: Shard) -> Self {
        Self { here, home: Home::Here, leaves_for: None }
    }

    /// Whether the account is at home in this shard.
    pub(crate) fn is_here(&self) -> bool {
        self.home == Home::Here
    }

    /// Whether a database may have a chain that ends so: its account is at home there, or has moved away from there.
    pub(crate) fn may_end(&self) -> bool {
        self.home != Home::Elsewhere
    }

    /// Goes on by the next entry.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] if the account leaves without having come, or comes where it was not to go.
    pub(crate) fn follow(&mut self, event: &Event) -> Result<(), StoreError> {
        const ASTRAY: StoreError = StoreError::BadRow { what: "move between shards" };
        let leaves_for = self.leaves_for.take();
        match event {
            Event::MovedAway { .. } if self.home == Home::Left || leaves_for.is_some() => return Err(ASTRAY),
            Event::MovedAway { to, .. } => {
                self.leaves_for = Some(*to);
                if self.home == Home::Here {
                    self.home = Home::Left;
                }
            }
            Event::MovedIn { to, .. } if leaves_for != Some(*to) => return Err(ASTRAY),
            Event::MovedIn { to, .. } => {
                self.home = if *to == self.here { Home::Here } else { Home::Elsewhere };
            }
            _ if leaves_for.is_some() => return Err(ASTRAY),
            _ => {}
        }
        Ok(())
    }
}
