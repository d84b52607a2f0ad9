//! What the Python package `onetap` calls: the face, function by function. Values cross as dictionaries, of which the
//! package makes its classes; the interpreter is let go while a call waits.

use std::sync::Mutex;
use std::time::Duration;

use onetap_face::port::{CardPort, PortError};
use onetap_face::source::Transaction;
use onetap_face::till::{Attempt, Outcome, Slip, StepLimits, TillConfig};
use onetap_face::{Error, Handle, error, handle, payment, readers, source, till, trace};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// An error as an exception of the package: it has a class for each kind.
fn raised(py: Python<'_>, error: Error) -> PyErr {
    let made = py.import("onetap.errors").and_then(|errors| {
        let kind: &str = error.kind.into();
        errors.getattr("of_kind")?.call1((kind, error.cause, error.cure, error.transaction))
    });
    made.map_or_else(|failed| failed, PyErr::from_value)
}

/// Does the work of one call while other threads of Python go on.
fn call<T: Send>(py: Python<'_>, work: impl FnOnce() -> error::Result<T> + Send) -> PyResult<T> {
    py.detach(work).map_err(|error| raised(py, error))
}

/// Seconds as Python has them.
fn seconds(time: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(time).map_err(|error| PyValueError::new_err(format!("{time} s: {error}")))
}

/// A transaction's fields, by the names that they have in Python.
#[derive(FromPyObject)]
struct Fields {
    top_up: bool,
    payee_account: String,
    payee_name: String,
    amount: String,
    currency: String,
    reference: String,
    details: String,
}

impl From<Fields> for Transaction {
    fn from(fields: Fields) -> Self {
        let Fields { top_up, payee_account, payee_name, amount, currency, reference, details } = fields;
        Self { top_up, payee_account, payee_name, amount, currency, reference, details }
    }
}

fn transaction<'py>(py: Python<'py>, of: &Transaction) -> PyResult<Bound<'py, PyDict>> {
    let made = PyDict::new(py);
    made.set_item("top_up", of.top_up)?;
    made.set_item("payee_account", &of.payee_account)?;
    made.set_item("payee_name", &of.payee_name)?;
    made.set_item("amount", &of.amount)?;
    made.set_item("currency", &of.currency)?;
    made.set_item("reference", &of.reference)?;
    made.set_item("details", &of.details)?;
    Ok(made)
}

fn receipt<'py>(py: Python<'py>, of: &Slip) -> PyResult<Bound<'py, PyDict>> {
    let made = PyDict::new(py);
    made.set_item("top_up", of.top_up)?;
    made.set_item("minor", of.minor)?;
    made.set_item("currency", &of.currency)?;
    made.set_item("payee_account", &of.payee_account)?;
    made.set_item("payee_name", &of.payee_name)?;
    made.set_item("reference", &of.reference)?;
    made.set_item("executed_at", &of.executed_at)?;
    made.set_item("accepted_for", &of.accepted_for)?;
    Ok(made)
}

fn outcome<'py>(py: Python<'py>, of: &Outcome) -> PyResult<Bound<'py, PyDict>> {
    let made = PyDict::new(py);
    made.set_item("result", of.result.to_string())?;
    made.set_item("id", &of.transaction)?;
    made.set_item("receipt", of.receipt.as_ref().map(|slip| receipt(py, slip)).transpose()?)?;
    Ok(made)
}

fn attempt<'py>(py: Python<'py>, of: &Attempt) -> PyResult<Bound<'py, PyDict>> {
    let made = PyDict::new(py);
    made.set_item("id", &of.id)?;
    made.set_item("begun", &of.begun)?;
    made.set_item("transaction", of.transaction.as_ref().map(|it| transaction(py, it)).transpose()?)?;
    made.set_item("outcome", of.outcome.as_ref().map(|it| outcome(py, it)).transpose()?)?;
    Ok(made)
}

/// A reader in Python: an object with the functions of `onetap.CardPort`.
struct PythonPort(Py<PyAny>);

impl PythonPort {
    fn ask<T>(
        &self,
        work: impl FnOnce(Python<'_>, &Bound<'_, PyAny>) -> PyResult<T>,
    ) -> Result<T, PortError> {
        // An interpreter that ends lets nobody in.
        let asked = Python::try_attach(|py| work(py, self.0.bind(py)).map_err(|error| failed(py, &error)));
        asked.unwrap_or_else(|| Err(PortError::Failed("Python has ended".to_owned())))
    }
}

fn failed(py: Python<'_>, error: &PyErr) -> PortError {
    let left = py.import("onetap.errors").and_then(|errors| errors.getattr("CardLeft"));
    if left.is_ok_and(|left| error.matches(py, left).unwrap_or(false)) {
        return PortError::CardLeft;
    }
    PortError::Failed(error.to_string())
}

impl CardPort for PythonPort {
    fn present(&mut self, wait: Duration) -> Result<bool, PortError> {
        self.ask(|_, port| port.call_method1("present", (wait.as_secs_f64(),))?.extract())
    }

    fn connect(&mut self) -> Result<Vec<u8>, PortError> {
        self.ask(|_, port| port.call_method0("connect")?.extract())
    }

    fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, PortError> {
        self.ask(|py, port| port.call_method1("transmit", (PyBytes::new(py, command),))?.extract())
    }

    fn disconnect(&mut self, power_off: bool) -> Result<(), PortError> {
        self.ask(|_, port| port.call_method1("disconnect", (power_off,)).map(drop))
    }
}

/// The functions of the module.
#[pymodule]
mod _onetap {
    #[allow(
        clippy::wildcard_imports,
        reason = "the functions below are all of the module that Python sees"
    )]
    use super::*;

    #[pymodule_export]
    const VERSION: u32 = onetap_face::VERSION;

    #[pyfunction]
    fn close(py: Python<'_>, handle: Handle) -> PyResult<()> {
        call(py, || onetap_face::close(handle))
    }

    #[pyfunction]
    fn count(py: Python<'_>) -> PyResult<usize> {
        call(py, handle::count)
    }

    #[pyfunction]
    fn readers(py: Python<'_>, timeout: f64) -> PyResult<Vec<String>> {
        let timeout = seconds(timeout)?;
        call(py, || super::readers::list(timeout))
    }

    #[pyfunction]
    fn watch(py: Python<'_>) -> PyResult<Handle> {
        call(py, super::readers::watch)
    }

    #[pyfunction]
    fn watch_next(py: Python<'_>, watch: Handle, timeout: f64) -> PyResult<Bound<'_, PyDict>> {
        let timeout = seconds(timeout)?;
        let seen = call(py, || super::readers::watch_next(watch, timeout))?;
        let made = PyDict::new(py);
        made.set_item("change", seen.change.to_string())?;
        made.set_item("reader", seen.reader)?;
        made.set_item("atr", PyBytes::new(py, &seen.atr))?;
        Ok(made)
    }

    #[pyfunction]
    #[pyo3(signature = (*, terminal, server, ca, token, certificate, key, journal, reader, port, limits, trace, strict, record))]
    #[allow(clippy::too_many_arguments, reason = "by name, from one place")]
    fn till(
        py: Python<'_>,
        terminal: String,
        server: String,
        ca: Option<String>,
        token: Option<String>,
        certificate: Option<String>,
        key: Option<String>,
        journal: Option<String>,
        reader: Option<String>,
        port: Option<Py<PyAny>>,
        limits: [f64; 5],
        trace: Option<String>,
        strict: bool,
        record: Option<String>,
    ) -> PyResult<Handle> {
        let [check, tap, removal, holder, sending] = limits.map(seconds);
        let config = TillConfig {
            terminal,
            server,
            ca: ca.map(String::into_bytes),
            token,
            certificate: certificate.map(String::into_bytes),
            key: key.map(String::into_bytes),
            journal,
            reader,
            port: port.map(|port| Box::new(PythonPort(port)) as Box<dyn CardPort>),
            limits: StepLimits {
                check: check?,
                tap: tap?,
                removal: removal?,
                holder: holder?,
                sending: sending?,
            },
            trace,
            strict,
            record,
        };
        // Only to hand it over: the port is for one thread at a time.
        let config = Mutex::new(Some(config));
        call(py, || {
            let config = config.into_inner().ok().flatten().unwrap_or_default();
            super::till::till(config)
        })
    }

    #[pyfunction]
    fn attempts(py: Python<'_>, till: Handle) -> PyResult<Vec<Bound<'_, PyDict>>> {
        let found = call(py, || super::till::attempts(till))?;
        found.iter().map(|it| attempt(py, it)).collect()
    }

    #[pyfunction]
    fn resolve<'py>(py: Python<'py>, till: Handle, id: &str, timeout: f64) -> PyResult<Bound<'py, PyDict>> {
        let timeout = seconds(timeout)?;
        outcome(py, &call(py, || super::till::resolve(till, id, timeout))?)
    }

    #[pyfunction]
    fn forget(py: Python<'_>, till: Handle, id: &str) -> PyResult<()> {
        call(py, || super::till::forget(till, id))
    }

    #[pyfunction]
    fn check(py: Python<'_>, fields: Fields) -> PyResult<Bound<'_, PyDict>> {
        transaction(py, &call(py, || source::check(fields.into()))?)
    }

    #[pyfunction]
    fn json<'py>(py: Python<'py>, text: &[u8]) -> PyResult<Bound<'py, PyDict>> {
        transaction(py, &call(py, || source::json(text))?)
    }

    #[pyfunction]
    fn scan<'py>(
        py: Python<'py>,
        content: &[u8],
        amount: Option<&str>,
        tip: Option<&str>,
    ) -> PyResult<Bound<'py, PyDict>> {
        transaction(py, &call(py, || source::scan(content, amount, tip))?)
    }

    #[pyfunction]
    fn fetch<'py>(py: Python<'py>, url: &str, ca: Option<&str>) -> PyResult<Bound<'py, PyDict>> {
        transaction(py, &call(py, || source::fetch(url, ca.map(str::as_bytes)))?)
    }

    #[pyfunction]
    fn pay(py: Python<'_>, till: Handle, fields: Fields, key: Option<&str>) -> PyResult<Handle> {
        call(py, || payment::start(till, fields.into(), key))
    }

    #[pyfunction]
    fn next(py: Python<'_>, payment: Handle, timeout: f64) -> PyResult<Bound<'_, PyDict>> {
        let timeout = seconds(timeout)?;
        let event = call(py, || super::payment::next(payment, timeout))?;
        let made = PyDict::new(py);
        made.set_item("what", event.what.to_string())?;
        made.set_item("step", event.step.to_string())?;
        made.set_item("left", event.left.as_secs_f64())?;
        made.set_item("reader", event.reader)?;
        made.set_item("cause", event.cause)?;
        made.set_item("cure", event.cure)?;
        made.set_item("id", event.id)?;
        made.set_item("transaction", event.transaction.as_ref().map(|it| transaction(py, it)).transpose()?)?;
        made.set_item("outcome", event.outcome.as_ref().map(|it| outcome(py, it)).transpose()?)?;
        Ok(made)
    }

    #[pyfunction]
    fn type_in(py: Python<'_>, payment: Handle, typed: &str) -> PyResult<bool> {
        call(py, || super::payment::type_in(payment, typed))
    }

    #[pyfunction]
    fn cancel(py: Python<'_>, payment: Handle) -> PyResult<()> {
        call(py, || super::payment::cancel(payment))
    }

    #[pyfunction]
    fn trace_show(py: Python<'_>, text: &str) -> PyResult<String> {
        call(py, || trace::show(text))
    }

    #[pyfunction]
    fn trace_export<'py>(py: Python<'py>, format: &str, text: &str) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &call(py, || trace::export(format, text))?))
    }

    #[pyfunction]
    fn trace_import(py: Python<'_>, format: &str, log: &[u8], description: &str) -> PyResult<String> {
        call(py, || trace::import(format, log, description))
    }
}
