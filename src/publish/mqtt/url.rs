//! The address of a broker.

use std::fmt;

use crate::publish::PublishError;

/// The address of a broker, with the options of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broker {
    /// Name or address; an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The first levels of every topic.
    pub(super) prefix: Vec<String>,
    pub(super) version: Version,
    pub(super) client_id: Option<String>,
}

/// The version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// MQTT 3.1.1.
    V3,
    /// MQTT 5.
    V5,
}

impl Broker {
    /// Parses `mqtt://host[:port][/prefix][?version=3.1.1&client_id=name]`.
    pub(super) fn parse(url: &str) -> Result<Self, PublishError> {
        // The text before an `@` may be a password: the error does not repeat it.
        let shown = match (url.find("://"), url.rfind('@')) {
            (Some(scheme), Some(at)) if scheme + 3 <= at => format!("{}***{}", &url[..scheme + 3], &url[at..]),
            (None, Some(at)) => format!("***{}", &url[at..]),
            _ => url.to_owned(),
        };
        parse(url).map_err(|problem| PublishError::Url { url: shown, problem })
    }
}

fn parse(url: &str) -> Result<Broker, String> {
    let rest = after_scheme(url)?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    if authority.contains('@') {
        return Err("a URL shows in process lists: give the user and password in LOCKKEEPER_MQTT_USER and \
                    LOCKKEEPER_MQTT_PASSWORD, or the password in a file"
            .to_owned());
    }
    let (host, port) = host_and_port(authority)?;
    let levels: Vec<String> = path.split('/').filter(|level| !level.is_empty()).map(str::to_owned).collect();
    let prefix = if levels.is_empty() { vec![PREFIX.to_owned()] } else { levels };
    let mut broker = Broker { host, port, prefix, version: Version::V5, client_id: None };
    query.split('&').filter(|option| !option.is_empty()).try_for_each(|option| apply_option(&mut broker, option))?;
    Ok(broker)
}

fn after_scheme(url: &str) -> Result<&str, String> {
    match url.split_once("://") {
        Some(("mqtt" | "tcp", rest)) => Ok(rest),
        Some(("mqtts" | "ssl" | "tls", _)) => Err("TLS is not available yet: use mqtt:// to a broker on this machine \
                                                   or network that forwards with TLS (a mosquitto bridge does)"
            .to_owned()),
        Some((scheme, _)) => Err(format!("{scheme}:// is not supported: write mqtt://host:{PORT}")),
        None => Err(format!("no scheme: write mqtt://{}", if url.is_empty() { "host" } else { "host:port" })),
    }
}

fn host_and_port(authority: &str) -> Result<(String, u16), String> {
    let (host, port) = match authority.rfind(']') {
        Some(end) => {
            let (host, rest) = authority.split_at(end + 1);
            (host, rest.strip_prefix(':'))
        }
        None if authority.matches(':').count() > 1 => {
            return Err(format!("an IPv6 address needs brackets: write mqtt://[{authority}]:{PORT}"));
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(format!("no host: write mqtt://host:{PORT}"));
    }
    let port = match port {
        None => PORT,
        Some(text) => match text.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err(format!("{text:?} is no port: write a number from 1 to 65535")),
        },
    };
    Ok((host.to_owned(), port))
}

fn apply_option(broker: &mut Broker, option: &str) -> Result<(), String> {
    match option.split_once('=') {
        Some(("version", "5" | "5.0")) => broker.version = Version::V5,
        Some(("version", "3.1.1" | "4")) => broker.version = Version::V3,
        Some(("version", other)) => return Err(format!("version {other:?} is not supported: write 5 or 3.1.1")),
        Some(("client_id", id)) if !id.is_empty() => broker.client_id = Some(id.to_owned()),
        _ => return Err(format!("{option:?} is not understood: options are version=3.1.1 and client_id=NAME")),
    }
    Ok(())
}

/// `host:port`, for people.
impl fmt::Display for Broker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// The registered port of MQTT without TLS (IANA).
const PORT: u16 = 1883;
const PREFIX: &str = "lockkeeper";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_host_has_a_default() {
        let broker = Broker::parse("mqtt://broker.lock.example").expect("valid");
        assert_eq!(broker.to_string(), "broker.lock.example:1883");
        assert_eq!((broker.prefix, broker.version, broker.client_id), (vec![PREFIX.to_owned()], Version::V5, None));
    }

    #[test]
    fn everything_can_be_given() {
        let broker = Broker::parse("mqtt://[::1]:2883/plant/ot?version=3.1.1&client_id=me").expect("valid");
        let expected = Broker {
            host: "[::1]".to_owned(),
            port: 2883,
            prefix: vec!["plant".to_owned(), "ot".to_owned()],
            version: Version::V3,
            client_id: Some("me".to_owned()),
        };
        assert_eq!(broker, expected);
    }

    #[test]
    fn every_mistake_says_what_to_write_instead() {
        let mistakes = [
            ("", "write mqtt://host"),
            ("broker:1883", "write mqtt://host:port"),
            ("http://broker", "write mqtt://host:1883"),
            ("mqtts://broker", "TLS is not available yet"),
            ("mqtt://", "no host"),
            ("mqtt://:1883", "no host"),
            ("mqtt://broker:0", "is no port"),
            ("mqtt://broker:x", "is no port"),
            ("mqtt://fe80::1", "write mqtt://[fe80::1]:1883"),
            ("mqtt://broker?version=6", "write 5 or 3.1.1"),
            ("mqtt://broker?clean=1", "options are"),
        ];
        for (url, expected) in mistakes {
            let error = Broker::parse(url).expect_err(url).to_string();
            assert!(error.contains(expected), "{url}: {error}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        for url in ["mqtt://user:secret@broker", "mqtts://user:secret@broker", "user:secret@broker"] {
            let error = Broker::parse(url).expect_err(url).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let error = Broker::parse("mqtt://user:secret@broker").expect_err("refused").to_string();
        assert!(error.contains("LOCKKEEPER_MQTT_PASSWORD"), "{error}");
    }
}
