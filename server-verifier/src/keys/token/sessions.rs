//! Sessions with a token: a bounded pool, logged in; lost ones are opened anew.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;

use super::super::access::{Passphrase, TokenPlace};
use super::super::error::TokenError;

/// Sessions at a time; who needs one more waits. Tokens have a bounded number.
const MAX_SESSIONS: usize = 16;

/// Why something was not done with a session.
#[derive(Debug)]
pub(super) enum Failure {
    /// The module says no.
    Module(Error),
    /// The token has no object of this label.
    Missing(String),
    /// There is no session to be had.
    Token(TokenError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Module(error)
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

/// A session, and the objects that were found by it.
pub(super) struct Live {
    pub(super) session: Session,
    found: HashMap<(u64, String), ObjectHandle>,
}

impl Live {
    /// The object of this class and label.
    pub(super) fn find(&mut self, class: ObjectClass, label: &str) -> Result<ObjectHandle, Failure> {
        let key = (*class, label.to_owned());
        if let Some(handle) = self.found.get(&key) {
            return Ok(*handle);
        }
        let template =
            [Attribute::Token(true), Attribute::Class(class), Attribute::Label(label.as_bytes().to_vec())];
        match self.session.find_objects(&template)?[..] {
            [handle] => {
                self.found.insert(key, handle);
                Ok(handle)
            }
            _ => Err(Failure::Missing(label.to_owned())),
        }
    }
}

/// The pool.
pub(super) struct Sessions {
    pub(super) place: TokenPlace,
    pin: AuthPin,
    module: Pkcs11,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Live>,
    open: usize,
    /// Grows when the token is lost: sessions of before are not used again.
    generation: u64,
    /// What the token said to our PIN, after which it is not tried again: a few more would lock the token.
    refused: Option<TokenError>,
}

impl Sessions {
    /// Loads the module, finds the token and logs in.
    pub(super) fn connect(place: &TokenPlace, pin: &Passphrase) -> Result<Self, TokenError> {
        let sessions = Self {
            module: load(&place.module)?,
            place: place.clone(),
            pin: AuthPin::from(pin.expose()),
            state: Mutex::default(),
            returned: Condvar::new(),
        };
        sessions.with(|_| Ok(())).map_err(|failure| sessions.error(failure))?;
        Ok(sessions)
    }

    /// Does `work` in a session; once more in a new one if the token is lost in between.
    pub(super) fn with<T>(
        &self,
        mut work: impl FnMut(&mut Live) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        match self.once(&mut work) {
            Err(Failure::Module(error)) if is_loss(&error) => self.once(&mut work),
            done => done,
        }
    }

    /// The failure as an error that says what to do.
    pub(super) fn error(&self, failure: Failure) -> TokenError {
        match failure {
            Failure::Module(error) => {
                TokenError::Lost { label: self.place.label.clone(), why: error.to_string() }
            }
            Failure::Missing(key) => TokenError::OtherKey { key },
            Failure::Token(error) => error,
        }
    }

    /// Does `work` once, also if the token is lost.
    pub(super) fn once<T>(
        &self,
        mut work: impl FnMut(&mut Live) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (mut live, generation) = self.take()?;
        let done = work(&mut live);
        let lost = matches!(&done, Err(Failure::Module(error)) if is_loss(error));
        self.give_back(live, generation, lost);
        done
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<(Live, u64), Failure> {
        let mut state = self.lock();
        loop {
            if let Some(live) = state.idle.pop() {
                return Ok((live, state.generation));
            }
            if let Some(refused) = &state.refused {
                return Err(refused.clone().into());
            }
            if state.open < MAX_SESSIONS {
                // One at a time: a wrong PIN is to be tried once.
                let session = self.log_in(&mut state)?;
                state.open += 1;
                return Ok((Live { session, found: HashMap::new() }, state.generation));
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, live: Live, generation: u64, lost: bool) {
        let mut state = self.lock();
        if lost && generation == state.generation {
            state.generation += 1;
            state.open -= state.idle.len();
            state.idle.clear();
        }
        if generation == state.generation {
            state.idle.push(live);
        } else {
            state.open -= 1;
        }
        drop(state);
        self.returned.notify_one();
    }

    fn log_in(&self, state: &mut State) -> Result<Session, Failure> {
        let label = &self.place.label;
        initialize(&self.module)?;
        let not_connected = || TokenError::NotConnected { label: label.clone() };
        let mut slots = self.module.get_slots_with_initialized_token()?.into_iter();
        let slot = slots.find(|slot| {
            self.module.get_token_info(*slot).is_ok_and(|token| token.label() == label.as_str())
        });
        let session = self.module.open_rw_session(slot.ok_or_else(not_connected)?)?;
        match session.login(UserType::User, Some(&self.pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(Error::Pkcs11(
                why @ (RvError::PinIncorrect
                | RvError::PinLocked
                | RvError::PinExpired
                | RvError::PinLenRange),
                _,
            )) => {
                let refused = TokenError::PinRefused { label: label.clone(), why: format!("{why:?}") };
                state.refused = Some(refused.clone());
                Err(refused.into())
            }
            Err(other) => Err(other.into()),
        }
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sessions({})", self.place.label)
    }
}

/// True for what is said when token, session, login or module state is gone; then a new session may help.
fn is_loss(error: &Error) -> bool {
    use RvError as Rv;
    let Error::Pkcs11(said, _) = error else { return false };
    matches!(
        said,
        Rv::CryptokiNotInitialized
            | Rv::DeviceError
            | Rv::DeviceRemoved
            | Rv::FunctionFailed
            | Rv::GeneralError
            | Rv::KeyHandleInvalid
            | Rv::ObjectHandleInvalid
            | Rv::SessionClosed
            | Rv::SessionHandleInvalid
            | Rv::SlotIdInvalid
            | Rv::TokenNotPresent
            | Rv::TokenNotRecognized
            | Rv::UserNotLoggedIn
    )
}

/// A module is loaded once and stays: unloading one that is in use elsewhere in the process would break it.
fn load(path: &Path) -> Result<Pkcs11, TokenError> {
    static LOADED: OnceLock<Mutex<HashMap<PathBuf, Pkcs11>>> = OnceLock::new();
    let mut loaded = LOADED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = loaded.get(path) {
        return Ok(module.clone());
    }
    let failed = |error: Error| TokenError::Module { module: path.to_owned(), why: error.to_string() };
    let module = Pkcs11::new(path).map_err(failed)?;
    initialize(&module).map_err(failed)?;
    loaded.insert(path.to_owned(), module.clone());
    Ok(module)
}

fn initialize(module: &Pkcs11) -> Result<(), Error> {
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        done => done,
    }
}
