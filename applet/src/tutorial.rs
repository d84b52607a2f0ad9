#![doc = include_str!("../../docs/write-an-applet.md")]
