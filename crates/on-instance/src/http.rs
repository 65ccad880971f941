//! One question over plain HTTP: bounded in size and time, never by a proxy, never redirected.

use std::pin::pin;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::http::uri::{Scheme, Uri};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use skyfleet_core::{Clock, Error, ErrorKind, Result, SystemClock};
use tokio::net::TcpStream;

/// How long an answer may take, from the first word on: the service is on the machine's own link.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// The longest answer that is read. The longest that is asked for is Azure's document on a machine,
/// with 64 KiB of user data and 50 tags of 768 characters in it, each told twice.
const BODY_BYTES_MAX: usize = 256 << 10;

/// The most that an answer's headers may take.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// A metadata service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// The host and the port as the caller wrote them.
    authority: String,
    address: String,
    /// What stands before each path.
    root: String,
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    /// From the service's root on, with a query if there is one.
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'static str, &'a str)],
    /// How long the answer may take.
    pub(crate) within: Duration,
}

impl<'a> Question<'a> {
    pub(crate) fn get(path: &'a str, headers: &'a [(&'static str, &'a str)]) -> Self {
        Self { method: Method::GET, path, headers, within: ANSWER }
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body of a success.
    ///
    /// # Errors
    /// `Unavailable` with the status of any other answer.
    pub(crate) fn text(self) -> Result<String> {
        match self.status {
            200 => Ok(self.body),
            status => Err(refused(status)),
        }
    }
}

impl Service {
    /// The service at `http://host:port/path`, or at `host:port`.
    ///
    /// # Errors
    /// `InvalidConfig` for what is none.
    pub(crate) fn new(endpoint: &str) -> Result<Self> {
        let endpoint = endpoint.trim();
        let wrong = |why: &str| {
            let message = format!("the address of the metadata service {why}");
            Error::new(ErrorKind::InvalidConfig, message).with("endpoint", endpoint.escape_debug()).at(AT)
        };
        let url = if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") };
        let uri: Uri = url.parse().map_err(|error| wrong("is no URL").because(error))?;
        let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(wrong("is not one of plain HTTP: it begins with http://"));
        }
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(wrong("has more in it than a host, a port and a path"));
        }
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self {
            authority: authority.to_string(),
            address: format!("{}:{port}", authority.host()),
            root: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Asks once.
    ///
    /// # Errors
    /// `Unavailable` when nobody answers, or not in time, or too much.
    pub(crate) async fn ask(&self, question: &Question<'_>) -> Result<Answer> {
        tokio::select! {
            answer = self.exchange(question) => answer,
            // By the machine's own time: a service that plays may have another one.
            () = SystemClock.sleep(question.within) => {
                let late = Error::new(ErrorKind::Unavailable, "the metadata service does not answer in time");
                Err(late.with("path", question.path).at(AT))
            }
        }
    }

    async fn exchange(&self, question: &Question<'_>) -> Result<Answer> {
        let request = self.request(question)?;
        let socket = TcpStream::connect(&self.address).await.map_err(unreachable)?;
        let mut client = http1::Builder::new();
        client.max_buf_size(HEAD_BYTES_MAX);
        let (mut sender, connection) = client.handshake(TokioIo::new(socket)).await.map_err(unreachable)?;
        let exchange = async move {
            let (head, body) = sender.send_request(request).await.map_err(unreachable)?.into_parts();
            let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
            let body = body.map_err(|error| {
                let message = "the answer of the metadata service cannot be read to its end";
                Error::new(ErrorKind::Unavailable, message)
                    .with("bytes_max", BODY_BYTES_MAX)
                    .with("why", error)
                    .at(AT)
            })?;
            let body = String::from_utf8(body.to_bytes().into())
                .map_err(|_| strange("what the metadata service answers is no text"))?;
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
        let mut is_open = true;
        loop {
            // What came before the service closed the connection counts.
            tokio::select! {
                biased;
                answer = &mut exchange => return answer,
                _ = &mut connection, if is_open => is_open = false,
            }
        }
    }

    fn request(&self, question: &Question<'_>) -> Result<Request<Empty<Bytes>>> {
        let mut request = Request::builder()
            .method(question.method.clone())
            .uri(format!("{}/{}", self.root, question.path))
            .header(HOST, &self.authority);
        for (name, value) in question.headers {
            let value =
                HeaderValue::from_str(value).map_err(|_| strange("it gave what no header can hold"))?;
            request = request.header(*name, value);
        }
        request.body(Empty::new()).map_err(|error| strange("no such question can be asked").because(error))
    }
}

/// Where it went wrong.
pub(crate) const AT: &str = "on_instance";

/// An answer that no metadata service gives.
pub(crate) fn strange(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unexpected, message).at(AT)
}

pub(crate) fn refused(status: u16) -> Error {
    Error::new(ErrorKind::Unavailable, "the metadata service refuses").with("status", status).at(AT)
}

fn unreachable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, "the metadata service cannot be reached").because(error).at(AT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A service that says this, whatever it is asked, and closes.
    async fn saying(words: Vec<u8>) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut asked = [0; 1_024];
                let _ = socket.read(&mut asked).await;
                let _ = socket.write_all(&words).await;
            }
        });
        Service::new(&address.to_string()).unwrap()
    }

    fn question() -> Question<'static> {
        Question { within: Duration::from_millis(500), ..Question::get("a", &[]) }
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_or_never_ends_is_refused() {
        let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n{}", "x".repeat(300_000));
        let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(70_000));
        let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_owned();
        for words in [long, head, half, String::new(), "no HTTP\r\n\r\n".to_owned()] {
            let service = saying(words.into_bytes()).await;
            let error = service.ask(&question()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Service::new(&silent.local_addr().unwrap().to_string()).unwrap();
        let error = service.ask(&question()).await.unwrap_err();
        assert!(error.message().contains("in time"), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_text_is_strange() {
        let service = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xfe".to_vec()).await;
        assert_eq!(service.ask(&question()).await.unwrap_err().kind(), ErrorKind::Unexpected);
        let other = Question { headers: &[("x-token", "two\r\nlines")], ..question() };
        assert_eq!(service.ask(&other).await.unwrap_err().kind(), ErrorKind::Unexpected);
    }

    #[tokio::test]
    async fn a_redirection_is_an_answer_like_another() {
        let words = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        let answer = saying(words.into()).await.ask(&question()).await.unwrap();
        assert_eq!((answer.status, answer.header("location")), (302, Some("http://127.0.0.1:1/")));
        assert!(answer.text().is_err());
    }

    #[test]
    fn an_address_is_one_of_plain_http() {
        for (text, address, root) in [
            ("http://169.254.169.254", "169.254.169.254:80", ""),
            ("http://127.0.0.1:8080/imds/aws/i-0/", "127.0.0.1:8080", "/imds/aws/i-0"),
            ("metadata.google.internal", "metadata.google.internal:80", ""),
            ("http://[fd00:ec2::254]/", "[fd00:ec2::254]:80", ""),
        ] {
            let service = Service::new(text).unwrap();
            assert_eq!((service.address.as_str(), service.root.as_str()), (address, root), "{text}");
        }
        for text in ["", "https://169.254.169.254", "http://", "http://a@b", "http://a/?b=c", "http://a b"] {
            assert_eq!(Service::new(text).unwrap_err().kind(), ErrorKind::InvalidConfig, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever stands on the wire.
        #[test]
        fn no_answer_brings_it_down(
            status in "HTTP/1.[01] [0-9]{1,4}[ -~]{0,8}|[ -~]{0,20}",
            headers in "([a-z-]{1,10}: ?[ -~]{0,12}\r\n){0,4}",
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let words = [format!("{status}\r\n{headers}\r\n").as_bytes(), &body[..]].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let service = saying(words).await;
                if let Ok(answer) = service.ask(&question()).await {
                    assert!(answer.body.len() <= BODY_BYTES_MAX);
                }
            });
        }

        #[test]
        fn no_address_brings_it_down(text in "\\PC{0,40}") {
            let _ = Service::new(&text);
        }
    }
}
