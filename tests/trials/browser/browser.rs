//! One headless Chromium, driven over WebDriver and, for what that lacks, the DevTools protocol.

use std::fmt::Debug;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// What Chromium is told: no window, one pixel a dot, the same on every machine.
const ARGUMENTS: [&str; 8] = [
    "--headless",
    "--no-sandbox", // it may run as root here, and loads nothing but our own page
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--force-device-scale-factor=1",
    "--font-render-hinting=none",
    "--hide-scrollbars",
    "--lang=en",
];

/// A page in a browser of its own.
pub(crate) struct Browser {
    runtime: Runtime,
    client: Option<Client>,
    driver: Child,
    _folder: tempfile::TempDir,
}

/// Light or dark, and how large.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) dark: bool,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

pub(crate) const DESK: Look = Look { dark: false, width: 1100, height: 860 };

impl Browser {
    /// Starts one, or says why this test is not performed.
    pub(crate) fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// Starts one that is told more.
    pub(crate) fn with(more: &[&str]) -> Option<Self> {
        // What the browser leaves behind goes with the test.
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromedriver");
        command
            .arg("--port=0")
            .stdout(Stdio::piped())
            .env("TMPDIR", folder.path())
            .env("HOME", folder.path());
        let started = command.spawn();
        let mut driver = match started {
            Ok(driver) => driver,
            // Under `make test` everything is there.
            Err(why) if std::env::var_os("ONETAP_PCSCD").is_some() => panic!("chromedriver: {why}"),
            Err(_) => {
                println!("not performed: needs Chromium and its driver: scripts/setup test");
                return None;
            }
        };
        let port = port_of(&mut driver);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let arguments = [&ARGUMENTS[..], more].concat();
        let options = json!({ "goog:chromeOptions": { "args": arguments } });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(options.as_object().unwrap().clone());
        let client = runtime.block_on(builder.connect(&format!("http://127.0.0.1:{port}")));
        let browser = Self { runtime, client: Some(client.unwrap()), driver, _folder: folder };
        browser.set_look(DESK);
        Some(browser)
    }

    fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    fn run<T>(&self, work: impl Future<Output = Result<T, CmdError>>) -> T {
        self.runtime.block_on(work).unwrap()
    }

    /// Sends a command of the DevTools protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.run(self.client().issue_cmd(DevTools(json!({ "cmd": command, "params": parameters }))))
    }

    pub(crate) fn set_look(&self, look: Look) {
        let scheme = if look.dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": features }));
        let size =
            json!({ "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    pub(crate) fn open(&self, url: &str) {
        self.run(self.client().goto(url));
    }

    /// Runs a script in the page and gives what it returns.
    pub(crate) fn script(&self, script: &str) -> Value {
        self.run(self.client().execute(script, Vec::new()))
    }

    /// Waits, frame by frame, until an expression holds in the page.
    pub(crate) fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[0]; const deadline = performance.now() + 20000;
             const look = () => ({expression}) ? done(true)
               : performance.now() > deadline ? done(document.body.innerText) : requestAnimationFrame(look);
             look();"
        );
        let result = self.run(self.client().execute_async(&script, Vec::new()));
        assert_eq!(result, json!(true), "never came true: {expression}");
    }

    /// Moves the mouse to a button and clicks it.
    pub(crate) fn click(&self, css: &str) {
        self.run(async { self.client().find(Locator::Css(css)).await?.click().await });
    }

    /// Types on the keyboard, wherever the focus is.
    pub(crate) fn keys(&self, keys: &str) {
        self.run(async { self.client().active_element().await?.send_keys(keys).await });
    }

    pub(crate) fn key(&self, key: Key) {
        self.keys(&char::from(key).to_string());
    }

    pub(crate) fn screenshot(&self) -> Vec<u8> {
        self.run(self.client().screenshot())
    }

    /// The text of one element.
    pub(crate) fn text(&self, id: &str) -> String {
        self.script(&format!("return document.getElementById('{id}').textContent"))
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// The port that the driver chose, from what it prints.
fn port_of(driver: &mut Child) -> u16 {
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let mut ports = lines.map_while(Result::ok).filter_map(|line| {
        line.split_once("successfully on port ").and_then(|(_, port)| port.trim_end_matches('.').parse().ok())
    });
    ports.next().unwrap_or_else(|| panic!("chromedriver did not start"))
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A browser that is gone already needs no farewell.
        let _ = self.client.take().map(|client| self.runtime.block_on(client.close()));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

#[derive(Debug)]
struct DevTools(Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.0.to_string()))
    }
}
