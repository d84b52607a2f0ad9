//! As whom PostgreSQL keeps the tables, and lets the service use them.

/// The roles of a PostgreSQL server in whose names the tables are kept and used; each is made if there is none.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    /// Owns the tables; who connects if left out.
    pub owner: Option<String>,
    /// Serves, and has no right but what that needs; none is given rights if left out.
    pub service: Option<String>,
}

/// What a PostgreSQL store is opened for.
#[cfg(feature = "postgres")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// To be used; an older schema is brought up to date if who connects may do that.
    Use,
    /// To be made where there are no tables.
    Make,
    /// To be brought up to date, with rights granted anew.
    Upgrade,
}
