//! What an applet shares with others, through the firewall (`Shareable`, `getShareableInterfaceObject`).
//!
//! An interface is a trait, with a type that names it. A call goes to the server in its own context; the client reaches
//! the interface's methods and nothing else:
//!
//! ```
//! use onetap_apdu_spec::sw::StatusWord;
//! use onetap_applet::runtime::{Context, Shareable};
//!
//! /// The interface.
//! trait Points {
//!     fn add(&mut self, points: u32) -> Result<u32, StatusWord>;
//! }
//!
//! /// Its name.
//! struct PointsInterface;
//!
//! impl Shareable for PointsInterface {
//!     type Object<'a> = dyn Points + 'a;
//! }
//! ```
//!
//! The client has no way to the server's context, which stands behind the trait:
//!
//! ```compile_fail,E0609
//! # use onetap_applet::runtime::{Context, Fault, Field, Server, Shareable};
//! # trait Points { fn add(&mut self, points: u32); }
//! # struct PointsInterface;
//! # impl Shareable for PointsInterface { type Object<'a> = dyn Points + 'a; }
//! struct Desk<'a, 'c> {
//!     cx: &'a mut Context<'c>,
//! }
//!
//! fn steal(cx: &mut Context<'_>, server: &Server<PointsInterface>) -> Result<u32, Fault> {
//!     cx.call(server, |points| points.cx.get(&Field::<u32>::new(0)))
//! }
//! ```

use std::any::Any;
use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;

use onetap_apdu_spec::aid::Aid;

use super::applet::{Asked, Context, System};
use super::fault::Fault;

/// Names an interface that applets share.
pub trait Shareable: 'static {
    /// The interface: a `dyn` trait, with the lifetime of one call.
    type Object<'a>: ?Sized;
}

/// An applet from which an interface is expected: a constant of the client, like [`Field`](super::Field).
#[derive(Debug)]
pub struct Server<I> {
    aid: Aid,
    interface: PhantomData<fn() -> I>,
}

impl<I: Shareable> Server<I> {
    /// The instance of this name.
    #[must_use]
    pub const fn new(aid: Aid) -> Self {
        Self { aid, interface: PhantomData }
    }
}

/// What a client wants done with an interface.
trait Errand<I: Shareable> {
    fn run(&mut self, object: &mut I::Object<'_>);
}

struct Task<F, T> {
    work: Option<F>,
    result: Rc<Cell<Option<T>>>,
}

impl<I: Shareable, T, F: FnOnce(&mut I::Object<'_>) -> T> Errand<I> for Task<F, T> {
    fn run(&mut self, object: &mut I::Object<'_>) {
        if let Some(work) = self.work.take() {
            self.result.set(Some(work(object)));
        }
    }
}

impl Asked<'_> {
    /// Lets the client use this interface now, once, if it asked for `I`; otherwise nothing happens.
    pub fn answer<I: Shareable>(&mut self, object: &mut I::Object<'_>) {
        if let Some(errand) = self.errand.downcast_mut::<Box<dyn Errand<I>>>() {
            errand.run(object);
            self.answered = true;
        }
    }
}

impl Context<'_> {
    /// Calls another applet's interface: `work` runs with it while the server is in its own context, on this channel.
    /// What it needs it takes along, and what it returns comes back. An open transaction stays open, and what the
    /// server writes belongs to it; the server can neither commit nor abort it.
    ///
    /// # Errors
    /// What `work` failed with. [`Fault::NotShared`], if there is no such applet, it does not share this interface with
    /// this client, is locked, or is running already: it is never told which. [`Fault::ServerFailed`], if it panicked:
    /// it is made anew from its objects, and an open transaction is empty and can only be aborted. An applet that is being
    /// installed has no name yet, and gets nothing.
    pub fn call<I: Shareable, R: 'static, E: From<Fault> + 'static>(
        &mut self,
        server: &Server<I>,
        work: impl FnOnce(&mut I::Object<'_>) -> Result<R, E> + 'static,
    ) -> Result<R, E> {
        let result = Rc::new(Cell::new(None));
        let mut errand: Box<dyn Errand<I>> = Box::new(Task { work: Some(work), result: Rc::clone(&result) });
        self.system.call((self.owner, self.channel), &server.aid, &mut errand)?;
        result.take().unwrap_or_else(|| Err(Fault::NotShared.into()))
    }

    /// The applet that calls this one's interface (`JCSystem.getPreviousContextAID`); none while a command is
    /// processed.
    #[must_use]
    pub fn client(&self) -> Option<Aid> {
        self.client
    }
}

impl System {
    /// Lets a client, by owner and channel, run its errand with a server.
    fn call(&mut self, (client, channel): (u8, u8), server: &Aid, errand: &mut dyn Any) -> Result<(), Fault> {
        let client = self.instance(client).ok_or(Fault::NotShared)?.aid;
        let at = self.position(server).filter(|at| self.in_service(*at) && self.applet(*at).is_some());
        let at = at.ok_or(Fault::NotShared)?;
        let before = self.memory.lend();
        let ran = self.run(at, channel, |applet, cx| {
            cx.client = Some(client);
            let mut asked = Asked { errand, answered: false };
            applet.share(cx, &mut asked);
            Ok(asked.answered)
        });
        self.memory.take_back(before);
        match ran {
            Ok(true) => Ok(()),
            Ok(false) => Err(Fault::NotShared),
            Err(_) => Err(Fault::ServerFailed),
        }
    }
}
