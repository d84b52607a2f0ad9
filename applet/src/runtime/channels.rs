//! Logical channels: which are open, and what is selected on each.

use onetap_apdu_spec::class::MAX_CHANNELS;

/// The channel that is always open.
pub(super) const BASIC: u8 = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Channel {
    Closed,
    /// With the slot of the applet that is selected on it.
    Open(Option<usize>),
}

/// The card's logical channels.
#[derive(Debug)]
pub(super) struct Channels {
    all: [Channel; MAX_CHANNELS as usize],
    /// How many there are.
    count: u8,
}

impl Channels {
    /// `count` channels, the basic one included, of which only the basic one is open.
    pub(super) fn new(count: u8) -> Self {
        let mut channels =
            Self { all: [Channel::Closed; MAX_CHANNELS as usize], count: count.clamp(1, MAX_CHANNELS) };
        channels.reset();
        channels
    }

    pub(super) fn reset(&mut self) {
        self.all.fill(Channel::Closed);
        self.open(BASIC);
    }

    fn at(&self, channel: u8) -> Channel {
        self.all.get(usize::from(channel)).copied().unwrap_or(Channel::Closed)
    }

    fn put(&mut self, channel: u8, state: Channel) {
        if let Some(at) = self.all.get_mut(usize::from(channel)) {
            *at = state;
        }
    }

    #[inline]
    pub(super) fn is_open(&self, channel: u8) -> bool {
        matches!(self.at(channel), Channel::Open(_))
    }

    /// True if the card has a channel of that number.
    pub(super) fn exists(&self, channel: u8) -> bool {
        channel < self.count
    }

    pub(super) fn first_closed(&self) -> Option<u8> {
        (0..self.count).find(|channel| !self.is_open(*channel))
    }

    pub(super) fn open(&mut self, channel: u8) {
        self.put(channel, Channel::Open(None));
    }

    pub(super) fn close(&mut self, channel: u8) {
        self.put(channel, Channel::Closed);
    }

    /// The slot of the applet selected on `channel`.
    #[inline]
    pub(super) fn selected(&self, channel: u8) -> Option<usize> {
        match self.at(channel) {
            Channel::Open(selected) => selected,
            Channel::Closed => None,
        }
    }

    pub(super) fn select(&mut self, channel: u8, slot: Option<usize>) {
        self.put(channel, Channel::Open(slot));
    }

    /// True if `slot` is selected on another channel than `except`.
    pub(super) fn is_selected_elsewhere(&self, slot: usize, except: u8) -> bool {
        (0..self.count).any(|channel| channel != except && self.selected(channel) == Some(slot))
    }
}
