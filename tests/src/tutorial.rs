#![doc = include_str!("../../docs/terminal.md")]
