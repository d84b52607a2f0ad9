//! Gives the shared library its versioned name.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // Goes up when a program that was linked with an older header would not work any more.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libonetap.so.0");
    }
}
