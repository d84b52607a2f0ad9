//! Cards of other kinds than the signing card: any ROM, with a face or without, over the same doors.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread::spawn;

use onetap_apdu_spec::apdu::CommandApdu;
use onetap_apdu_spec::sw::StatusWord;
use onetap_applet::applets::{Echo, Purse};
use onetap_applet::card::{Face, Product};
use onetap_applet::front::InProcess;
use onetap_applet::front::vpcd::{Left, Meeting, Stop, VpcdConfig, serve};
use onetap_applet::nvm::{ImageFile, ImageOptions, MemoryImage};
use onetap_applet::runtime::{Applet, Context, DEFAULT_SELECTED, Field, Module, Reply, Runtime};
use onetap_applet::{Card, CardError, Environment, Key, KeyRefused, Screen, SharedCard};

use crate::vpcd::{framed, receive};

/// A command to the echo, and what it says.
const HELLO: &[u8] = b"\x80\x10\x00\x00\x02hi\x00";
const SAID: &[u8] = b"hi\x90\x00";

fn echo() -> Product {
    Product::new(&[Echo::module()]).instance(Echo::name(), Echo::name(), [DEFAULT_SELECTED, 0, 0], &[])
}

fn shared(card: Card) -> SharedCard {
    Arc::new(Mutex::new(card))
}

#[test]
fn a_card_with_an_authors_rom_only_answers_in_a_virtual_reader() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = VpcdConfig { meeting: Meeting::At(listener.local_addr().unwrap()), ..VpcdConfig::default() };
    let card = shared(echo().make(Box::new(MemoryImage::default()), Environment::default()).unwrap());
    let stop = Stop::new();
    let (served_card, served_stop) = (Arc::clone(&card), stop.clone());
    let served = spawn(move || serve(&served_card, &config, &served_stop));

    use std::io::Write as _;
    let mut reader = listener.accept().unwrap().0;
    reader.write_all(&framed(&[1])).unwrap();
    reader.write_all(&framed(HELLO)).unwrap();
    assert_eq!(receive(&mut reader), SAID);
    assert!(card.lock().unwrap().in_field());
    stop.stop();
    assert_eq!(served.join().unwrap().unwrap(), Left::Stopped);
    assert!(!card.lock().unwrap().in_field());
}

#[test]
fn a_card_without_a_face_shows_nothing_and_has_no_keys() {
    let card = shared(echo().make(Box::new(MemoryImage::default()), Environment::default()).unwrap());
    let contact = InProcess::connect(Arc::clone(&card));
    assert_eq!(contact.transmit(HELLO), SAID);
    contact.release();
    let mut card = card.lock().unwrap();
    assert!(!card.has_face() && !card.can_sign() && card.screen().is_blank() && !card.is_done());
    assert!(matches!(card.press(Key::Confirm), Err(KeyRefused::NoKeys)));
    assert_eq!(card.transmit(HELLO), [0x6F, 0x00], "out of the field it has no power");
}

/// How often its key was pressed.
const PRESSED: Field<u32> = Field::new(0);

struct Bell;

impl Applet for Bell {
    fn install(cx: &mut Context<'_>, _: &[u8]) -> Result<Self, StatusWord> {
        cx.set(&PRESSED, &0)?;
        Ok(Self)
    }

    fn load(_: &mut Context<'_>) -> Result<Self, StatusWord> {
        Ok(Self)
    }

    fn process(
        &mut self,
        cx: &mut Context<'_>,
        _: &CommandApdu<'_>,
        reply: &mut Reply,
    ) -> Result<(), StatusWord> {
        reply.send(&cx.get(&PRESSED)?.to_be_bytes());
        Ok(())
    }
}

/// A button that counts, and a display that says how far; it is done once somebody pressed.
struct Button(bool);

impl Face for Button {
    fn press(&mut self, key: Key, chip: &mut Runtime) -> Result<(), KeyRefused> {
        if key != Key::Confirm {
            return Err(KeyRefused::Other("there is one key only"));
        }
        let name = Echo::name();
        let counted = chip.with(&name, |_: &mut Bell, cx| {
            let before = cx.get(&PRESSED)?;
            cx.set(&PRESSED, &(before + 1))
        });
        self.0 = true;
        Ok(counted.unwrap_or(Ok(()))?)
    }

    fn screen(&mut self, chip: &mut Runtime) -> Screen {
        let pressed = chip.with(&Echo::name(), |_: &mut Bell, cx| cx.get(&PRESSED));
        pressed.and_then(Result::ok).map_or_else(Screen::blank, |n| Screen::text(&format!("pressed\n{n}")))
    }

    fn is_done(&self, _: &Runtime) -> bool {
        self.0
    }
}

#[test]
fn an_author_gives_a_card_a_face_of_its_own() {
    let name = Echo::name();
    let product = Product::new(&[Module::new::<Bell>(name)])
        .instance(name, name, [DEFAULT_SELECTED, 0, 0], &[])
        .face(|| Button(false));
    let image = MemoryImage::default();
    let mut card = product.make(Box::new(image.clone()), Environment::default()).unwrap();
    assert!(card.has_face() && !card.is_done());
    card.press(Key::Confirm).unwrap();
    card.press(Key::Confirm).unwrap();
    assert_eq!(card.press(Key::Next).unwrap_err().to_string(), "there is one key only");
    assert_eq!(card.screen().lines(), ["pressed", "2"]);
    assert!(card.is_done());
    drop(card);
    let mut card = product.open(Box::new(image), Environment::default()).unwrap();
    card.enter_field();
    card.power_on();
    assert_eq!(card.transmit(&[0x80, 0x10, 0, 0, 4]), [0, 0, 0, 2, 0x90, 0x00], "the reader sees the same");
}

/// `onetap card` with an image of an author's, and an author's program with one of `onetap card`.
#[test]
fn a_card_of_another_program_says_whose_it_is_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (foreign, ours) = (folder.path().join("echo.img"), folder.path().join("blank.img"));
    let create = |path| Box::new(ImageFile::create(path, ImageOptions::default()).unwrap());
    drop(echo().make(create(&foreign), Environment::default()).unwrap());
    drop(Card::manufacture(create(&ours), Environment::default()).unwrap());
    let before = std::fs::read(&foreign).unwrap();

    let opened = Card::open_file(&foreign, ImageOptions::default(), Environment::default());
    let why = opened.map(drop).unwrap_err();
    assert!(matches!(&why, CardError::Foreign(owner) if owner.modules() == [Echo::name()]), "{why:?}");
    let text = why.to_string();
    assert!(text.contains("F04543484F01 (.ECHO.)") && !text.contains("remove"), "{text}");
    assert_eq!(std::fs::read(&foreign).unwrap(), before);

    let image = ImageFile::open(&ours, ImageOptions::default()).unwrap();
    let why = echo().open(Box::new(image), Environment::default()).map(drop).unwrap_err();
    assert!(matches!(why, CardError::Foreign(_)), "{why}");
}

/// An author who took a module out of the ROM is told which, and can put it back.
#[test]
fn a_module_that_is_gone_is_named_and_nothing_is_lost() {
    let image = MemoryImage::default();
    let two = Product::new(&[Echo::module(), Purse::module()])
        .instance(Echo::name(), Echo::name(), [0; 3], &[])
        .instance(Purse::name(), Purse::name(), [0; 3], b"2468");
    drop(two.make(Box::new(image.clone()), Environment::default()).unwrap());
    let why = echo().open(Box::new(image.clone()), Environment::default()).map(drop).unwrap_err();
    assert!(matches!(&why, CardError::Foreign(owner) if owner.modules() == [Purse::name()]), "{why}");
    assert_eq!(two.open(Box::new(image), Environment::default()).unwrap().runtime().instances().count(), 2);
}

#[test]
fn a_card_whose_manufacturer_was_interrupted_is_not_finished() {
    let image = MemoryImage::default();
    drop(Product::new(&[Echo::module()]).make(Box::new(image.clone()), Environment::default()).unwrap());
    let why = echo().open(Box::new(image), Environment::default()).map(drop).unwrap_err();
    assert!(matches!(why, CardError::Unfinished), "{why}");
}
