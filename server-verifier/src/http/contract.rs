//! What the OpenAPI document says of every operation alike, and the handlers' annotations therefore do not: how it may
//! fail, the header fields of its answers, and the form of what stands in its path.

use onetap_apdu_spec::service::{IDEMPOTENCY_KEY, PROBLEM_JSON, REQUEST_ID};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::Response;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Info, OpenApi, Ref, RefOr, Required, Server};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::problem::{Kind, ProblemBody};

const ABOUT: &str = "Judges transactions that a card has signed and its holder confirmed; keeps accounts, cards and their log.

Amounts are whole minor units, moments RFC 3339 in UTC with whole seconds. A field that a request does not list is refused; a \
client ignores fields of answers that it does not know. A head that is no HTTP, or has more than 16 kB or 64 fields (431), is \
answered by the parser, without a body. An answer with `Connection: close` ends the connection, since the body of the request \
was not read. Pages have `next`: give it as `after` to get the following one. docs/spec/http.md says what else is promised.";

/// What stands in a path, by name: its form, an example, and what it is.
const PATH: [(&str, &str, &str, &str); 9] = [
    ("number", "^[0-9A-Z]{1,34}$", "1000000000009", "Number of an account"),
    ("card", "^[0-9a-f]{16}$", "4341524430303031", "Id of a card"),
    ("terminal", "^[0-9A-Za-z]{8}$", "TERM0001", "Id of a terminal"),
    ("client", "^[A-Za-z0-9_-]{1,64}$", "till-1", "Name of a client"),
    ("hold", "^[0-9]+-[0-9]+$", "17-4", "Names a hold"),
    ("message", "^[0-9]+-[0-9]+$", "17-4", "Names a message of the outbox"),
    ("proposal", "^[0-9]+$", "17", "Number of a proposal"),
    ("token", "^[0-9]+$", "1", "Number of a client's token"),
    (
        "id",
        "^(reversal-)?([0-9a-f]{24}|capture-[0-9]+-[0-9]+)$|^opening-[0-9]+$|^carried-[0-9]+-[0-9]+$",
        "434152443030303100000001",
        "Id of a transaction",
    ),
];

/// Operations that change something but take no idempotency key: their answers depend on their bodies alone, or there is no harm
/// in doing them twice.
const WITHOUT_KEY: [&str; 4] = ["authorise", "cancel", "verify_books", "make_checkpoint"];

/// Completes the document that is made of the handlers.
pub(super) fn complete(document: &mut OpenApi) {
    document.info = Info::new("OneTap verifier", env!("CARGO_PKG_VERSION"));
    document.info.description = Some(ABOUT.to_owned());
    document.servers = Some(vec![Server::new("/")]);
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let mutual_tls = SecurityScheme::MutualTls {
        description: Some("A certificate of the operator's CA".to_owned()),
        deprecated: None,
        extensions: None,
    };
    components.add_security_scheme("mutual-tls", mutual_tls);
    components.schemas.insert(ProblemBody::name().into_owned(), ProblemBody::schema());
    let either = ["bearer", "mutual-tls"].map(|name| SecurityRequirement::new(name, Vec::<String>::new()));
    document.security = Some(either.to_vec());
    document.paths.paths.values_mut().for_each(complete_path);
}

fn complete_path(item: &mut PathItem) {
    for (operation, changes) in
        [(&mut item.get, false), (&mut item.put, true), (&mut item.post, true), (&mut item.delete, true)]
    {
        if let Some(operation) = operation {
            complete_operation(operation, changes);
        }
    }
}

/// `changes` is true for a method that may change something.
fn complete_operation(operation: &mut Operation, changes: bool) {
    let open_to_all = operation.security.is_some();
    let keyed = !WITHOUT_KEY.iter().any(|id| operation.operation_id.as_deref() == Some(*id));
    let parameters = operation.parameters.get_or_insert_default();
    for parameter in parameters.iter_mut() {
        if let RefOr::T(parameter) = parameter {
            complete_parameter(parameter);
        }
    }
    if changes && keyed {
        parameters.push(key().into());
    }
    let in_path = parameters
        .iter()
        .any(|found| matches!(found, RefOr::T(found) if found.parameter_in == ParameterIn::Path));
    let mut kinds = vec![Kind::Malformed, Kind::Internal];
    if !open_to_all {
        kinds.extend([Kind::NotAuthenticated, Kind::NotAllowed, Kind::TooMany, Kind::Busy]);
    }
    if changes && keyed {
        kinds.extend([Kind::NotFound, Kind::Conflict, Kind::Unprocessable]);
    }
    if in_path {
        kinds.push(Kind::NotFound);
    }
    if operation.request_body.is_some() {
        kinds.extend([Kind::TooSlow, Kind::TooLarge, Kind::NotJson]);
    }
    let responses = &mut operation.responses.responses;
    for kind in kinds {
        responses.entry(kind.status().to_string()).or_insert_with(|| Response::new("").into());
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response {
            complete_response(status, response);
        }
    }
}

fn complete_parameter(parameter: &mut Parameter) {
    if parameter.parameter_in != ParameterIn::Path {
        return;
    }
    if let Some((name, pattern, example, what)) = PATH.iter().find(|(name, ..)| *name == parameter.name) {
        *parameter = ParameterBuilder::new()
            .name(*name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(*what))
            .schema(Some(text(pattern)))
            .example(Some((*example).into()))
            .build();
    }
}

/// The header field by which a lost answer is asked for again.
fn key() -> Parameter {
    ParameterBuilder::new()
        .name(IDEMPOTENCY_KEY)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "1 to 64 printable ASCII characters without spaces, new for each act of this client. The same act under the same \
             key is done once, and answered again for a day; secrets that were shown once are left out then.",
        ))
        .schema(Some(text("^[!-~]{1,64}$")))
        .example(Some("6f8a0c1d52e94b7f".into()))
        .build()
}

fn complete_response(status: &str, response: &mut Response) {
    header(response, REQUEST_ID, "^[0-9a-f]+$", "The request's id, which the server's log has too");
    header(response, "cache-control", "^no-store$", "No cache keeps an answer");
    if response.description.is_empty() && status.starts_with('2') {
        response.description = "Done".to_owned();
    }
    let Some(kind) = Kind::ALL.iter().find(|kind| kind.status().to_string() == status) else { return };
    if response.description.is_empty() {
        response.description = kind.title().to_owned();
    }
    match kind {
        Kind::NotAuthenticated => {
            header(response, "www-authenticate", "^Bearer ", "How to show who asks (RFC 6750)");
        }
        Kind::TooMany | Kind::Busy => {
            header(response, "retry-after", "^[1-9][0-9]*$", "Seconds to wait before asking again");
        }
        _ => {}
    }
    let example = ProblemBody::new(
        *kind,
        "what is wrong with this request, and what to do",
        "6f8a0c1d52e94b7f00a1b2c3",
    );
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(ProblemBody::name())))
        .example(serde_json::to_value(example).ok())
        .build();
    response.content.insert(PROBLEM_JSON.to_owned(), content.into());
}

fn header(response: &mut Response, name: &str, pattern: &str, what: &str) {
    let header = HeaderBuilder::new().schema(Some(text(pattern))).description(Some(what)).build();
    response.headers.insert(name.to_owned(), header.into());
}

/// Text of a form.
fn text(pattern: &str) -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    Schema::Object(text.build()).into()
}
