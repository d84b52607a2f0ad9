//! `onetap card` on an image that an author's own program made: whose it is, and hands off.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use onetap_applet::Environment;
use onetap_applet::applets::Echo;
use onetap_applet::card::Product;
use onetap_applet::nvm::{ImageFile, ImageOptions};
use onetap_applet::runtime::DEFAULT_SELECTED;

use support::fails;

#[test]
fn a_foreign_image_is_named_and_left_alone_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo.img");
    let echo =
        Product::new(&[Echo::module()]).instance(Echo::name(), Echo::name(), [DEFAULT_SELECTED, 0, 0], &[]);
    let image = ImageFile::create(&path, ImageOptions::default()).unwrap();
    drop(echo.make(Box::new(image), Environment::default()).unwrap());
    let before = std::fs::read(&path).unwrap();

    let commands: [&[&str]; 7] = [
        &["card", "show", "--image", "echo.img"],
        &["card", "press", "--image", "echo.img", "confirm"],
        &["card", "status", "--image", "echo.img"],
        &["card", "run", "--image", "echo.img"],
        &["card", "run", "--image", "echo.img", "--panel", "--no-vpcd"],
        &["card", "run", "--image", "echo.img", "--panel", "--rehearse"],
        &["card", "tear", "--image", "echo.img", "--at", "0", "--", "tap"],
    ];
    for command in commands {
        let (code, message) = fails(folder.path(), command);
        assert_eq!(code, 8, "{command:?}: {message}");
        assert!(message.contains("F04543484F01 (.ECHO.)"), "{command:?}: {message}");
        let advice = message.to_lowercase();
        assert!(!advice.contains("remove") && !advice.contains("delete"), "{command:?}: {message}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
