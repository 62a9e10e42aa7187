//! A real Chromium, driven through chromedriver. Called by `browser.rs` here, and by the binary's tests.
//!
//! chromedriver chooses a free port itself; it and every browser that it started end with the [`Browser`], also when a
//! test fails.

use std::{
    env,
    future::Future,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a condition may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A browser window with an empty profile.
pub struct Browser {
    client: Client,
    driver: Driver,
    _profile: TempDir,
}

/// The chromedriver process, head of a process group of its own.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        // The group holds the browser too, which outlives its driver otherwise.
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

impl Driver {
    fn start() -> (Self, u16) {
        let program = env::var("CROWDREAD_CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".to_owned());
        let child = Command::new(&program).arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("{program}: {error}; install the packages chromium and chromium-driver, or leave these tests out with CROWDREAD_QUICK=1")
        });
        let mut driver = Self(child);
        let output = BufReader::new(driver.0.stdout.take().expect("standard output is piped"));
        let port = output.lines().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("started successfully on port ")?;
            rest.trim_end_matches('.').parse().ok()
        });
        let port = port.expect("chromedriver prints its port");
        (driver, port)
    }
}

/// Runs a test in a window of this size, or says that it is left out.
pub async fn with_browser<F: Future<Output = ()>>(size: (u32, u32), test: impl FnOnce(std::sync::Arc<Browser>) -> F) {
    if env::var("CROWDREAD_QUICK").as_deref() == Ok("1") {
        println!("left out, because CROWDREAD_QUICK=1: it needs Chromium");
        return;
    }
    let browser = std::sync::Arc::new(Browser::start(size).await);
    test(browser.clone()).await;
    if let Some(browser) = std::sync::Arc::into_inner(browser) {
        browser.client.clone().close().await.expect("the window closes");
        drop(browser.driver);
    }
}

impl Browser {
    async fn start((width, height): (u32, u32)) -> Self {
        let (driver, port) = Driver::start();
        let profile = tempfile::tempdir().expect("a folder for the browser's profile");
        let phone = width < 700;
        let mut options = json!({"args": [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", format!("--user-data-dir={}", profile.path().display()),
            format!("--window-size={width},{height}"),
        ]});
        if phone {
            options["mobileEmulation"] = json!({"deviceMetrics": {"width": width, "height": height, "pixelRatio": 2.0, "touch": true}});
        }
        let Value::Object(capabilities) = json!({"browserName": "chrome", "goog:chromeOptions": options}) else { unreachable!() };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await;
        Self { client: client.expect("a browser session"), driver, _profile: profile }
    }

    /// Opens an address.
    pub async fn open(&self, address: &str) {
        self.client.goto(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    }

    /// Loads the page anew.
    pub async fn reload(&self) {
        self.client.refresh().await.expect("the page loads again");
    }

    /// Taps the element in its middle, as a finger does; fails where something covers it.
    pub async fn tap(&self, selector: &str) {
        let element = self.client.find(Locator::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("tap {selector}: {error}"));
    }

    /// Presses keys, in WebDriver's code points, with the focus where it is.
    pub async fn press(&self, keys: &str) {
        self.client.active_element().await.expect("something has the focus").send_keys(keys).await.expect("keys are pressed");
    }

    /// The value of a JavaScript expression, which may be a promise.
    pub async fn value(&self, expression: &str) -> Value {
        let script = format!("const done = arguments[0]; Promise.resolve({expression}).then(done, (e) => done('error: ' + e))");
        self.client.execute_async(&script, vec![]).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The text of an element as it is shown.
    pub async fn text(&self, selector: &str) -> String {
        let value = self.value(&format!("document.querySelector({selector:?}).innerText")).await;
        value.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Waits until the expression is true.
    pub async fn until(&self, expression: &str) {
        let wait = async {
            while self.value(&format!("Boolean({expression})")).await != json!(true) {
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            let shown = self.text("body").await;
            panic!("not true after {DEADLINE:?}: {expression}; the page says: {shown}");
        }
    }
}
