//! What the language says about OPC UA: nodes, methods, sessions, certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockkeeper_protocols::{Mode, UserKind};

use super::super::model::{
    CertificateRules, DataType, DeclaredProtocol, NodeIdPattern, NodePattern, OpcUaPlaces, OpcUaSession, Point,
    WordOrder, suite_names,
};
use super::super::section::{Complaint, Section, Span};
use super::super::values;
use super::{Walk, owned};

impl Section<'_> {
    /// `opcua = { nodes }` of a point.
    pub(super) fn nodes(&mut self) -> Option<Vec<NodePattern>> {
        let what = format!("opcua of {}", self.what);
        let mut section = self.table("opcua", what)?;
        section.missing("nodes", "nodes = [\"ns=3;s=Pump.*\"]");
        let nodes = section.patterns("nodes");
        section.finish();
        Some(nodes)
    }

    /// `opcua = { nodes, methods }` of an entry of `allow`.
    pub(super) fn opcua_places(&mut self) -> Option<OpcUaPlaces> {
        let what = format!("opcua of {}", self.what);
        let mut section = self.table("opcua", what)?;
        if !section.has("methods") {
            section.missing("nodes", "nodes = [\"ns=3;s=Pump.*\"], or methods = [\"ns=3;i=7001\"]");
        }
        let places = OpcUaPlaces { nodes: section.patterns("nodes"), methods: section.patterns("methods") };
        section.finish();
        Some(places)
    }

    fn patterns(&mut self, key: &'static str) -> Vec<NodePattern> {
        if self.is_empty_list(key) {
            let message = format!("`{key}` of {} is an empty list", self.what);
            self.problems.error(self.span_of(key), message, format!("remove `{key}` to mean all of them, or name one"));
        }
        self.texts(key).iter().filter_map(|word| self.parse(word, pattern)).collect()
    }

    /// `opcua` of a flow.
    pub(super) fn opcua_session(&mut self, protocol: &DeclaredProtocol) -> Option<OpcUaSession> {
        let span = self.span_of("opcua");
        let what = format!("opcua of {}", self.what);
        let mut section = self.table("opcua", what)?;
        if !matches!(protocol, DeclaredProtocol::Named("opcua") | DeclaredProtocol::Any) {
            let message = format!("`opcua` does not apply to protocol {}", protocol.name());
            section.problems.error(span, message, "remove `opcua`, or write protocol = \"opcua\"");
        }
        let kinds = UserKind::ALL.map(UserKind::name);
        let identity = section.texts("identity");
        let identity = identity
            .iter()
            .filter_map(|word| section.parse(word, |text| values::one_of(text, "a kind of identity", &kinds)))
            .filter_map(UserKind::from_name)
            .collect();
        let modes = Mode::ALL.map(Mode::name);
        let session = OpcUaSession {
            min_mode: section.word_of("min_mode", "a message security mode", &modes).and_then(Mode::from_name),
            policies: section.suites(),
            identity,
            client_uris: owned(section.texts("client_uris")),
            certificates: section.certificates().unwrap_or_default(),
        };
        section.finish();
        Some(session)
    }

    /// `policies`: a name that is not known may be newer than this program.
    fn suites(&mut self) -> Vec<String> {
        let words = self.texts("policies");
        let known: Vec<&str> = suite_names().collect();
        for word in words.iter().filter(|word| !known.contains(&word.text)) {
            let message = format!("`{}` is no security policy of the standard", word.text);
            self.problems.warning(word.span.clone(), message, values::suggestion(word.text, &known));
        }
        owned(words)
    }

    fn certificates(&mut self) -> Option<CertificateRules> {
        let mut section = self.table("cert", "cert of opcua")?;
        let rules = CertificateRules {
            min_rsa_bits: section.small("min_rsa_bits", 1024..=16_384),
            forbid_sha1: section.flag("forbid_sha1").unwrap_or(false),
            forbid_self_signed: section.flag("forbid_self_signed").unwrap_or(false),
            warn_before_expiry: section.parsed("warn_before_expiry", values::duration),
        };
        section.finish();
        Some(rules)
    }
}

impl Walk<'_> {
    /// A point of nodes has a type that nodes can have, and a single value where it limits the step.
    pub(super) fn fits_nodes(&self, point: &Point, nodes: &[NodePattern], type_span: Span, section: &Section<'_>) {
        let of_s7 = matches!(
            point.encoding.data_type,
            DataType::Time | DataType::S5Time | DataType::Date | DataType::TimeOfDay | DataType::Counter
        );
        if of_s7 {
            let message = "values of nodes are not of this type, which only S7 memory holds";
            self.problems.error(type_span, message, "choose bool, a number such as i32 or f64, or string");
        } else if point.encoding.order != WordOrder::Big {
            let message = "values of nodes travel in one order only";
            self.problems.error(type_span, message, "write the type without le and swapped");
        }
        if point.limits.max_step.is_some() && !matches!(nodes, [single] if single.is_single()) {
            let message = format!("max_step of {} needs a single node", section.what);
            self.problems.error(section.span_of("max_step"), message, "make one point for each node");
        }
    }
}

/// `ns=3;s=Pump.Start`, `i=2258`, `ns=2;g=...`, `ns=1;b=...` (OPC 10000-6, 5.3.1.10); `ns=3;s=Pump.*` for all that begin
/// so, `ns=3;*` for all of a namespace.
fn pattern(text: &str) -> Result<NodePattern, Complaint> {
    let complain = || {
        let help = "write \"ns=3;s=Pump.Start\", \"ns=2;i=1001\", \"i=2258\", \"ns=3;s=Pump.*\", or \"ns=3;*\"";
        (format!("`{text}` is not a node id"), help.to_owned())
    };
    let (namespace, identifier) = match text.strip_prefix("ns=") {
        Some(rest) => rest.split_once(';').ok_or_else(complain)?,
        None => ("0", text),
    };
    let namespace = namespace.parse().map_err(|_| complain())?;
    let id = match identifier.split_once('=') {
        None if identifier == "*" => NodeIdPattern::Any,
        Some((_, "")) | None => return Err(complain()),
        Some(("i", number)) => NodeIdPattern::Numeric(number.parse().map_err(|_| complain())?),
        Some(("s", name)) => match name.strip_suffix('*') {
            Some(prefix) => NodeIdPattern::Prefix(prefix.as_bytes().into()),
            None => NodeIdPattern::Text(name.as_bytes().into()),
        },
        Some(("g", digits)) => NodeIdPattern::Guid(guid(digits).ok_or_else(complain)?),
        Some(("b", base64)) => NodeIdPattern::Opaque(STANDARD.decode(base64).map_err(|_| complain())?.into()),
        Some(_) => return Err(complain()),
    };
    Ok(NodePattern { text: text.to_owned(), namespace, id })
}

/// `09087e75-8e5e-499b-954f-f2a9603db28a`.
fn guid(text: &str) -> Option<[u8; 16]> {
    let digits = text.replace('-', "");
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_are_read_as_the_standard_writes_them() {
        let id = |text| pattern(text).ok().map(|one| (one.namespace, one.id));
        assert_eq!(id("i=2258"), Some((0, NodeIdPattern::Numeric(2258))));
        let level: &[u8] = b"\"PumpData\".\"Level\"";
        assert_eq!(id("ns=3;s=\"PumpData\".\"Level\""), Some((3, NodeIdPattern::Text(level.into()))));
        assert_eq!(id("ns=3;s=Pump.*"), Some((3, NodeIdPattern::Prefix(b"Pump.".as_slice().into()))));
        assert_eq!(id("ns=3;*"), Some((3, NodeIdPattern::Any)));
        assert_eq!(id("ns=1;b=Zm9v"), Some((1, NodeIdPattern::Opaque(b"foo".as_slice().into()))));
        let bytes = 0x0908_7e75_8e5e_499b_954f_f2a9_603d_b28a_u128.to_be_bytes();
        assert_eq!(id("ns=2;g=09087e75-8e5e-499b-954f-f2a9603db28a"), Some((2, NodeIdPattern::Guid(bytes))));
        for wrong in ["Pump", "ns=3", "ns=;i=1", "ns=70000;i=1", "i=", "i=x", "x=1", "ns=2;g=12", "b=*", "ns=a;s=b"] {
            assert!(pattern(wrong).is_err(), "{wrong}");
        }
    }
}
