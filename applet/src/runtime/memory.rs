//! Persistent and transient memory as applets see it, and transactions over the former.
//!
//! An applet names its objects by constants, [`Field`] and [`Transient`], whose numbers are its own: it
//! has no way to name another applet's.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::{Zeroize as _, Zeroizing};

use super::fault::Fault;
use super::limits::Limits;
use crate::nvm::{COMMIT_CAPACITY, Nvm, ObjectId, PAGE_LEN, PAGE_PAYLOAD};

/// A persistent object of type `T`: survives reset, tear and the end of the process. Written at once, or
/// with the transaction that is open.
#[derive(Debug)]
pub struct Field<T> {
    pub(super) number: u8,
    value: PhantomData<fn() -> T>,
}

impl<T> Field<T> {
    /// The applet's object of this number.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self { number, value: PhantomData }
    }

    pub(crate) const fn number(&self) -> u8 {
        self.number
    }
}

/// When transient memory is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clear {
    /// At power-on and reset. One copy for all channels.
    OnReset,
    /// When the applet is deselected, and at reset. One copy for each channel.
    OnDeselect,
}

impl Clear {
    /// Under which channel the copy for `channel` is kept.
    fn copy_for(self, channel: u8) -> u8 {
        match self {
            Self::OnReset => 0,
            Self::OnDeselect => channel,
        }
    }
}

/// A transient object of type `T`: [`Default`] until written, never in the image, not part of transactions.
#[derive(Debug)]
pub struct Transient<T> {
    pub(super) number: u8,
    pub(super) clear: Clear,
    value: PhantomData<fn() -> T>,
}

impl<T> Transient<T> {
    /// Memory of the kind CLEAR_ON_RESET.
    #[must_use]
    pub const fn on_reset(number: u8) -> Self {
        Self { number, clear: Clear::OnReset, value: PhantomData }
    }

    /// Memory of the kind CLEAR_ON_DESELECT.
    #[must_use]
    pub const fn on_deselect(number: u8) -> Self {
        Self { number, clear: Clear::OnDeselect, value: PhantomData }
    }

    pub(crate) const fn number(&self) -> u8 {
        self.number
    }
}

type Bytes = Zeroizing<Vec<u8>>;

/// The card's persistent memory with at most one transaction open on it.
pub(super) struct Memory {
    nvm: Nvm,
    /// What the open transaction has changed; reads see it, the image does not.
    staged: Option<Vec<(ObjectId, Option<Bytes>)>>,
    /// The open transaction is the runtime's own: an applet cannot end it, nor write past it.
    held: bool,
    /// The open transaction is that of an applet whose call runs: its server cannot end it.
    lent: bool,
    /// A server panicked in the open transaction: it cannot be committed.
    spoilt: bool,
    /// Where values are encoded.
    scratch: Bytes,
    /// Bytes of the commit buffer.
    buffer: usize,
}

/// Largest object in bytes: it has to fit the commit buffer.
const OBJECT_MAX: usize = COMMIT_CAPACITY / PAGE_LEN * PAGE_PAYLOAD;
/// What a page that is given back takes of the commit buffer, at most.
const ERASED: usize = 2;

impl Memory {
    pub(super) fn new(mut nvm: Nvm, limits: &Limits) -> Self {
        nvm.wear_out_after(limits.endurance);
        let (scratch, buffer) = (Zeroizing::new(vec![0; OBJECT_MAX]), limits.commit.min(COMMIT_CAPACITY));
        Self { nvm, staged: None, held: false, lent: false, spoilt: false, scratch, buffer }
    }

    pub(super) fn read(&self, id: ObjectId) -> Option<&[u8]> {
        match self.staged.as_ref().and_then(|staged| staged.iter().find(|(at, _)| *at == id)) {
            Some((_, bytes)) => bytes.as_ref().map(|bytes| bytes.as_slice()),
            None => self.nvm.read(id),
        }
    }

    pub(super) fn get<T: DeserializeOwned>(&self, id: ObjectId) -> Result<Option<T>, Fault> {
        let Some(bytes) = self.read(id) else { return Ok(None) };
        postcard::from_bytes(bytes).map(Some).map_err(|_| Fault::NoSuchObject(id.number))
    }

    /// Writes with the transaction, if one is open.
    pub(super) fn set<T: Serialize>(&mut self, id: ObjectId, value: &T) -> Result<(), Fault> {
        let bytes = encode(&mut self.scratch, value).ok_or(Fault::BufferFull)?;
        let set = match &mut self.staged {
            Some(staged) => stage(staged, &self.nvm, self.buffer, id, Some(bytes)),
            None => write(&mut self.nvm, self.buffer, id, bytes),
        };
        bytes.zeroize();
        set
    }

    /// Writes at once, whatever becomes of the transaction that may be open: what a PIN's try counter needs.
    /// While an applet is installed there is nothing yet that has to survive: then it is an ordinary write.
    pub(super) fn set_now<T: Serialize>(&mut self, id: ObjectId, value: &T) -> Result<(), Fault> {
        if self.held {
            return self.set(id, value);
        }
        let bytes = encode(&mut self.scratch, value).ok_or(Fault::BufferFull)?;
        let set = write(&mut self.nvm, self.buffer, id, bytes);
        bytes.zeroize();
        set?;
        if let Some(staged) = &mut self.staged {
            staged.retain(|(at, _)| *at != id);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, id: ObjectId) -> Result<(), Fault> {
        match &mut self.staged {
            Some(staged) => stage(staged, &self.nvm, self.buffer, id, None),
            None if self.nvm.read(id).is_some() => Ok(self.nvm.commit(&[(id, None)])?),
            None => Ok(()),
        }
    }

    /// Removes all objects of an owner, with the transaction that is open.
    pub(super) fn remove_all(&mut self, owner: u8) -> Result<(), Fault> {
        let numbers: Vec<u8> = self.nvm.objects_of(owner).collect();
        numbers.into_iter().try_for_each(|number| self.remove(ObjectId { owner, number }))
    }

    pub(super) fn begin(&mut self) -> Result<(), Fault> {
        if self.staged.is_some() {
            return Err(Fault::TransactionOpen);
        }
        self.staged = Some(Vec::new());
        Ok(())
    }

    /// As [`Memory::begin`], for a transaction around an applet's work that the applet cannot end.
    pub(super) fn begin_held(&mut self) -> Result<(), Fault> {
        self.begin()?;
        self.held = true;
        Ok(())
    }

    /// True if the open transaction is not that of the applet that runs.
    pub(super) fn is_anothers(&self) -> bool {
        self.held || self.lent
    }

    pub(super) fn is_lent(&self) -> bool {
        self.lent
    }

    /// Another applet is called: an open transaction is not its own. Gives what [`Memory::take_back`] wants.
    pub(super) fn lend(&mut self) -> bool {
        std::mem::replace(&mut self.lent, self.staged.is_some())
    }

    /// The call is over.
    pub(super) fn take_back(&mut self, before: bool) {
        self.lent = before;
    }

    /// The open transaction holds half of what a server wanted: it is forgotten, and stays open until its owner ends it.
    pub(super) fn spoil(&mut self) {
        self.spoilt = true;
        self.staged.iter_mut().for_each(Vec::clear);
    }

    /// True if the open transaction changes an object.
    pub(super) fn is_staged(&self, id: ObjectId) -> bool {
        self.staged.as_ref().is_some_and(|staged| staged.iter().any(|(at, _)| *at == id))
    }

    pub(super) fn commit(&mut self) -> Result<(), Fault> {
        self.held = false;
        let staged = self.staged.take().ok_or(Fault::NoTransaction)?;
        if std::mem::take(&mut self.spoilt) {
            return Err(Fault::ServerFailed);
        }
        if staged.is_empty() {
            return Ok(());
        }
        let changes: Vec<_> =
            staged.iter().map(|(id, bytes)| (*id, bytes.as_ref().map(|bytes| bytes.as_slice()))).collect();
        Ok(self.nvm.commit(&changes)?)
    }

    /// Forgets what the open transaction changed. True if there was one.
    pub(super) fn abort(&mut self) -> bool {
        (self.held, self.spoilt) = (false, false);
        self.staged.take().is_some()
    }

    pub(super) fn transaction_open(&self) -> bool {
        self.staged.is_some()
    }

    /// Bytes of the commit buffer that are not taken.
    pub(super) fn commit_capacity(&self) -> usize {
        self.buffer.saturating_sub(self.staged.as_ref().map_or(0, |staged| cost(staged, &self.nvm)))
    }

    pub(super) fn free(&self) -> usize {
        self.nvm.free()
    }

    /// How many pages were written since this was asked last.
    pub(super) fn take_written(&mut self) -> u64 {
        self.nvm.take_written()
    }
}

/// The value as it is stored, for the caller to wipe; `None` if there is no room for it. A vector that grows would
/// leave parts of it behind.
fn encode<'a, T: Serialize>(scratch: &'a mut Bytes, value: &T) -> Option<&'a mut [u8]> {
    postcard::to_slice(value, scratch).ok()
}

fn stage(
    staged: &mut Vec<(ObjectId, Option<Bytes>)>,
    nvm: &Nvm,
    buffer: usize,
    id: ObjectId,
    bytes: Option<&[u8]>,
) -> Result<(), Fault> {
    let bytes = bytes.map(|bytes| Zeroizing::new(bytes.to_vec()));
    let before = match staged.iter_mut().find(|(at, _)| *at == id) {
        Some((_, old)) => Some(std::mem::replace(old, bytes)),
        None => {
            staged.push((id, bytes));
            None
        }
    };
    if cost(staged, nvm) <= buffer {
        return Ok(());
    }
    match before {
        Some(before) => {
            staged.iter_mut().filter(|(at, _)| *at == id).for_each(|(_, now)| now.clone_from(&before));
        }
        None => drop(staged.pop()),
    }
    Err(Fault::BufferFull)
}

/// One write by itself, which the commit buffer has to hold, too.
fn write(nvm: &mut Nvm, buffer: usize, id: ObjectId, bytes: &[u8]) -> Result<(), Fault> {
    if pages(bytes) * PAGE_LEN > buffer {
        return Err(Fault::BufferFull);
    }
    Ok(nvm.commit(&[(id, Some(bytes))])?)
}

fn pages(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(PAGE_PAYLOAD).max(1)
}

/// What the commit buffer holds for these changes, at most: whole pages, and a note for each that goes.
fn cost(staged: &[(ObjectId, Option<Bytes>)], nvm: &Nvm) -> usize {
    let written: usize =
        staged.iter().flat_map(|(_, bytes)| bytes).map(|bytes| pages(bytes) * PAGE_LEN).sum();
    let erased: usize =
        staged.iter().filter_map(|(id, _)| nvm.read(*id)).map(|old| pages(old) * ERASED).sum();
    written + erased
}

/// Transient memory of all applets: small, so a list is enough.
pub(super) struct TransientMemory {
    objects: Vec<TransientObject>,
    /// Bytes that all objects together may take.
    capacity: usize,
    /// Where values are encoded.
    scratch: Bytes,
}

struct TransientObject {
    owner: u8,
    number: u8,
    clear: Clear,
    /// Only for [`Clear::OnDeselect`]; otherwise 0.
    channel: u8,
    bytes: Bytes,
}

impl TransientMemory {
    pub(super) fn new(capacity: usize) -> Self {
        Self { objects: Vec::new(), capacity, scratch: Zeroizing::new(vec![0; capacity]) }
    }

    fn position(&self, owner: u8, number: u8, clear: Clear, channel: u8) -> Option<usize> {
        let channel = clear.copy_for(channel);
        self.objects.iter().position(|object| {
            (object.owner, object.number, object.clear, object.channel) == (owner, number, clear, channel)
        })
    }

    pub(super) fn get<T: DeserializeOwned + Default>(
        &self,
        owner: u8,
        channel: u8,
        name: &Transient<T>,
    ) -> Result<T, Fault> {
        let found = self.position(owner, name.number, name.clear, channel);
        match found.and_then(|at| self.objects.get(at)) {
            None => Ok(T::default()),
            Some(object) => postcard::from_bytes(&object.bytes).map_err(|_| Fault::NoSuchObject(name.number)),
        }
    }

    pub(super) fn set<T: Serialize>(
        &mut self,
        owner: u8,
        channel: u8,
        name: &Transient<T>,
        value: &T,
    ) -> Result<(), Fault> {
        let encoded = encode(&mut self.scratch, value).ok_or(Fault::NoTransientSpace)?;
        let bytes = Zeroizing::new(encoded.to_vec());
        encoded.zeroize();
        let at = self.position(owner, name.number, name.clear, channel);
        let before = at.and_then(|at| self.objects.get(at)).map_or(0, |object| object.bytes.len());
        let used: usize = self.objects.iter().map(|object| object.bytes.len()).sum();
        if used - before + bytes.len() > self.capacity {
            return Err(Fault::NoTransientSpace);
        }
        match at.and_then(|at| self.objects.get_mut(at)) {
            Some(object) => object.bytes = bytes,
            None => {
                let channel = name.clear.copy_for(channel);
                self.objects.push(TransientObject {
                    owner,
                    number: name.number,
                    clear: name.clear,
                    channel,
                    bytes,
                });
            }
        }
        Ok(())
    }

    /// The applet was deselected on a channel.
    pub(super) fn deselected(&mut self, owner: u8, channel: u8) {
        self.objects.retain(|object| {
            (object.owner, object.channel, object.clear) != (owner, channel, Clear::OnDeselect)
        });
    }

    /// The applet is gone.
    pub(super) fn uninstalled(&mut self, owner: u8) {
        self.objects.retain(|object| object.owner != owner);
    }

    pub(super) fn reset(&mut self) {
        self.objects.clear();
    }
}

/// An object that should be there is not.
pub(super) fn missing(number: u8) -> impl FnOnce() -> Fault {
    move || Fault::NoSuchObject(number)
}
