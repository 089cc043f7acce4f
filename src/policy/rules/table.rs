//! The rules of the policy, one row each.

use super::Circumstance::{
    Always, ChangesValues, CommonPort, Decoded, DecodedClient, NotRouted, OpaqueForbidden, PerhapsRouted,
    RemoteAdministration, SharedLink, UnplacedHardware,
};
use super::Severity::{High, Info, Low, Medium};
use super::Weight::{AtLeast, Between, ByClass, Fixed};
use super::{Requirements, rules};
use crate::policy::Policy;
use crate::policy::dialect::{opcua, s7};

rules! {
/// The rules that a policy is violated by.
pub enum Rule {
    ConduitUndeclared {
        id: "conduit.undeclared",
        raised: "traffic crosses zones that no conduit connects",
        severity: &[(UnplacedHardware, AtLeast(Medium)), (Always, AtLeast(High))],
        requirements: Requirements {
            iec62443: &["SR 5.1", "SR 5.2", "SR 5.2 RE 1", "ZCR 3.1", "ZCR 6.4"],
            nis2: &["21(2)(a)", "21(2)(i)", "CIR 6.7.2(c)", "CIR 6.8.1", "CIR 6.8.2(e)"],
            iso27001: &["5.36", "8.20", "8.22"],
        },
        techniques: &[(Decoded, &["T0848"]), (RemoteAdministration, &["T0886"])],
        detail: Some(Policy::conduit_detail),
    }
    FlowUndeclaredPeer {
        id: "flow.undeclared-peer",
        raised: "a conduit exists, but none of its flows names these two hosts in this direction",
        severity: &[(Always, AtLeast(High))],
        requirements: Requirements {
            iec62443: &["SR 1.2", "SR 5.2 RE 1"],
            nis2: &["CIR 6.7.2(b)", "CIR 6.7.2(c)"],
            iso27001: &["5.15", "8.22"],
        },
        techniques: &[(Decoded, &["T0848"]), (RemoteAdministration, &["T0886"])],
        detail: Some(Policy::peer_detail),
    }
    FlowUndeclaredProtocol {
        id: "flow.undeclared-protocol",
        raised: "the hosts are declared, but not with this protocol or port",
        severity: &[(SharedLink, AtLeast(High)), (Always, AtLeast(Medium))],
        requirements: Requirements {
            iec62443: &["SR 5.2 RE 1", "SR 7.7"],
            nis2: &["CIR 6.3", "CIR 6.7.2(f)"],
            iso27001: &["8.9", "8.21"],
        },
        techniques: &[(RemoteAdministration, &["T0886"]), (CommonPort, &["T0885"])],
        detail: Some(Policy::protocol_detail),
    }
    FlowOpaque {
        id: "flow.opaque",
        raised: "encrypted content on a flow that restricts its content",
        severity: &[(OpaqueForbidden, Fixed(Medium)), (Always, Fixed(Info))],
        requirements: Requirements {
            iec62443: &["SR 4.1", "SR 6.2"],
            nis2: &["21(2)(b)", "CIR 3.2"],
            iso27001: &["8.16"],
        },
        techniques: &[],
        detail: Some(Policy::opaque_detail),
    }
    OperationUndeclared {
        id: "operation.undeclared",
        raised: "the flow does not permit this class, function or action",
        severity: &[(Always, ByClass(Medium))],
        requirements: OPERATION,
        techniques: &[],
        detail: Some(Policy::operation_detail),
    }
    OperationRequestUnseen {
        id: "operation.request-unseen",
        raised: "an answer shows that an operation which no flow permits was carried out, and its request was not captured",
        severity: &[(Always, AtLeast(High))],
        requirements: OPERATION,
        techniques: &[],
        detail: None,
    }
    OperationUnplaced {
        id: "operation.unplaced",
        raised: "an operation that may change something, between two hosts of `unknown` of which one has an address valid on \
                 one link only (169.254.0.0/16, fe80::/10), so that no network of a policy can place it; or sent by a host of \
                 a zone that is not judged inside to a multicast group or 255.255.255.255, where hosts of other zones may be \
                 in reach",
        severity: &[(Always, AtLeast(Medium))],
        requirements: Requirements {
            iec62443: &["SR 2.1", "SR 5.2 RE 1", "SR 7.8"],
            nis2: &["21(2)(i)", "CIR 6.7.2(c)", "CIR 12.4.1"],
            iso27001: &["5.9", "5.15", "8.22"],
        },
        techniques: &[(Decoded, &["T0848"])],
        detail: Some(Policy::unplaced_detail),
    }
    AddressUndeclared {
        id: "address.undeclared",
        raised: "the operation is permitted, but not on this address",
        severity: &[(Always, Between(Medium, High))],
        requirements: Requirements {
            iec62443: &["SR 2.1", "SR 5.2 RE 1"],
            nis2: &["21(2)(i)", "CIR 6.7.2(c)"],
            iso27001: &["8.3"],
        },
        techniques: &[(ChangesValues, &["T0836"]), (Always, &["T0861"])],
        detail: Some(Policy::address_detail),
    }
    ValueOutOfLimits {
        id: "value.out-of-limits",
        raised: "the address is permitted, but not with this value",
        severity: &[(Always, Fixed(High))],
        requirements: Requirements {
            iec62443: &["SR 3.5"],
            nis2: &["21(2)(b)", "21(2)(c)", "CIR 3.2.4"],
            iso27001: &["8.16"],
        },
        techniques: &[(Always, &["T0836"])],
        detail: Some(Policy::value_detail),
    }
    S7ConnectionType {
        id: "s7.connection-type",
        raised: "a connection to an S7 controller is not of the kind, or not to the module, that the flow names",
        severity: &[(Always, Fixed(High))],
        requirements: Requirements {
            iec62443: &["SR 1.2", "SR 2.1 RE 1"],
            nis2: &["21(2)(i)", "CIR 6.7.2(c)"],
            iso27001: &["5.15", "8.2"],
        },
        techniques: &[(Always, &["T0848"])],
        detail: Some(s7::connection_detail),
    }
    S7Password {
        id: "s7.password",
        raised: "the session password of an S7 controller is used where it is forbidden, or missing where it is required",
        severity: &[(Always, AtLeast(High))],
        requirements: Requirements {
            iec62443: &["SR 1.2", "SR 1.5", "SR 2.1 RE 1"],
            nis2: &["21(2)(i)", "CIR 11.6"],
            iso27001: &["5.17", "8.2", "8.5"],
        },
        techniques: &[],
        detail: Some(s7::password_detail),
    }
    OpcUaModeNone {
        id: "opcua.mode-none",
        raised: "an unprotected channel is used where `min_mode` demands more: by a session that logs in, or for any operation \
                 except finding servers and endpoints; raised again when it first changes something",
        severity: &[(Always, Between(Medium, High))],
        requirements: CHANNEL,
        techniques: MAN_IN_THE_MIDDLE,
        detail: Some(opcua::detail),
    }
    OpcUaModeWeak {
        id: "opcua.mode-weak",
        raised: "a channel is only signed where `min_mode` is `SignAndEncrypt`",
        severity: &[(Always, Fixed(Medium))],
        requirements: CHANNEL,
        techniques: MAN_IN_THE_MIDDLE,
        detail: Some(opcua::detail),
    }
    OpcUaPolicyDeprecated {
        id: "opcua.policy-deprecated",
        raised: "Basic128Rsa15 or Basic256, unless `policies` names it; also on a flow without `opcua`",
        severity: &[(Always, Fixed(Medium))],
        requirements: SECURITY_POLICY,
        techniques: &[],
        detail: Some(opcua::detail),
    }
    OpcUaPolicyUndeclared {
        id: "opcua.policy-undeclared",
        raised: "`policies` does not name the security policy of the channel",
        severity: &[(Always, Fixed(Medium))],
        requirements: SECURITY_POLICY,
        techniques: &[],
        detail: Some(opcua::detail),
    }
    OpcUaIdentity {
        id: "opcua.identity",
        raised: "`identity` (anonymous, username, certificate, issued-token) does not name the kind of a user; one that cannot \
                 be read is of kind `unread`, which no flow names",
        severity: &[(Always, Fixed(Medium))],
        requirements: IDENTITY,
        techniques: &[],
        detail: Some(opcua::detail),
    }
    OpcUaClient {
        id: "opcua.client",
        raised: "`client_uris` does not name the application URI that the client gives",
        severity: &[(Always, Fixed(High))],
        requirements: IDENTITY,
        techniques: &[(Always, &["T0848"])],
        detail: Some(opcua::detail),
    }
    OpcUaCleartextPassword {
        id: "opcua.cleartext-password",
        raised: "a password or token travels unencrypted; also on a flow without `opcua`",
        severity: &[(Always, Fixed(High))],
        requirements: IDENTITY,
        techniques: &[],
        detail: Some(opcua::detail),
    }
    OpcUaBetterOffered {
        id: "opcua.better-offered",
        raised: "the server offers a better mode than a session uses, or in the same mode a policy that is not deprecated; \
                 unless a `min_mode` is written and the channel meets the flow",
        severity: &[(Always, Fixed(Low))],
        requirements: SECURITY_POLICY,
        techniques: &[],
        detail: Some(opcua::detail),
    }
    OpcUaDowngrade {
        id: "opcua.downgrade",
        raised: "the channel is weaker than the best that these two hosts used before, in any conversation",
        severity: &[(Always, Fixed(High))],
        requirements: CHANNEL,
        techniques: MAN_IN_THE_MIDDLE,
        detail: Some(opcua::detail),
    }
    CertExpired {
        id: "cert.expired",
        raised: "a certificate is used after the end of its validity",
        severity: &[(Always, Fixed(Medium))],
        requirements: CERTIFICATE,
        techniques: MAN_IN_THE_MIDDLE,
        detail: Some(opcua::detail),
    }
    CertNotYetValid {
        id: "cert.not-yet-valid",
        raised: "a certificate is used before its validity begins",
        severity: &[(Always, Fixed(Medium))],
        requirements: CERTIFICATE,
        techniques: MAN_IN_THE_MIDDLE,
        detail: Some(opcua::detail),
    }
    CertExpiresSoon {
        id: "cert.expires-soon",
        raised: "a certificate ends within `cert = { warn_before_expiry = \"60d\" }`",
        severity: &[(Always, Fixed(Low))],
        requirements: CERTIFICATE,
        techniques: &[],
        detail: Some(opcua::detail),
    }
    CertWeakKey {
        id: "cert.weak-key",
        raised: "an RSA key is shorter than `cert = { min_rsa_bits }`; default 2048",
        severity: &[(Always, Fixed(Medium))],
        requirements: CERTIFICATE,
        techniques: MAN_IN_THE_MIDDLE,
        detail: Some(opcua::detail),
    }
    CertSha1 {
        id: "cert.sha1",
        raised: "a certificate is signed with SHA-1, where `cert = { forbid_sha1 = true }`",
        severity: &[(Always, Fixed(Medium))],
        requirements: CERTIFICATE,
        techniques: MAN_IN_THE_MIDDLE,
        detail: Some(opcua::detail),
    }
    CertSelfSigned {
        id: "cert.self-signed",
        raised: "a certificate is signed by itself, where `cert = { forbid_self_signed = true }`",
        severity: &[(Always, Fixed(Medium))],
        requirements: CERTIFICATE,
        techniques: MAN_IN_THE_MIDDLE,
        detail: Some(opcua::detail),
    }
    CertApplicationUri {
        id: "cert.application-uri",
        raised: "a certificate lacks the application URI that its owner gives, or a client's lacks every one of `client_uris`",
        severity: &[(Always, Fixed(Medium))],
        requirements: CERTIFICATE,
        techniques: MAN_IN_THE_MIDDLE,
        detail: Some(opcua::detail),
    }
    AssetUnknown {
        id: "asset.unknown",
        raised: "a host in a zone that declares assets is none of them",
        severity: &[(Always, Fixed(Medium))],
        requirements: Requirements {
            iec62443: &["SR 2.3", "SR 5.2 RE 1", "SR 7.8", "ZCR 3.4"],
            nis2: &["21(2)(i)", "CIR 6.7.2(g)", "CIR 12.4.1"],
            iso27001: &["5.9", "8.1"],
        },
        // A new host that commands devices is a master that the operator did not install.
        techniques: &[(DecodedClient, &["T0864", "T0848"]), (Always, &["T0864"])],
        detail: None,
    }
    AssetOtherHardware {
        id: "asset.other-hardware",
        raised: "the address of an asset that declares `mac` comes from other hardware, or other hardware claims it (ARP, \
                 neighbour advertisement)",
        severity: &[(NotRouted, Fixed(High)), (Always, Fixed(Medium))],
        requirements: Requirements {
            iec62443: &["SR 1.2", "SR 3.1", "SR 7.8"],
            nis2: &["21(2)(b)", "21(2)(i)", "CIR 6.7.2(g)"],
            iso27001: &["5.9", "8.16", "8.20"],
        },
        techniques: MAN_IN_THE_MIDDLE,
        detail: None,
    }
    AssetUndeclaredAddress {
        id: "asset.undeclared-address",
        raised: "the hardware of an asset uses an address that is not declared for it or, if none is, one outside its zone; \
                 for IPv6, once for each network of 64 bits",
        severity: &[(Always, Fixed(Medium))],
        requirements: Requirements {
            iec62443: &["SR 5.2 RE 1", "SR 7.8", "ZCR 6.4"],
            nis2: &["21(2)(i)", "CIR 6.3", "CIR 12.4.1"],
            iso27001: &["5.9", "8.9"],
        },
        techniques: &[],
        detail: None,
    }
    AssetUndeclaredRouter {
        id: "asset.undeclared-router",
        raised: "hardware that no router declares sends for hosts of several zones; replaces `asset.other-hardware`, \
                 `asset.undeclared-address` and `zone.other-vlan`, which it explains",
        severity: &[(Always, Fixed(Low))],
        requirements: Requirements {
            iec62443: &["SR 5.1", "SR 5.2", "SR 7.8", "ZCR 6.4"],
            nis2: &["21(2)(i)", "CIR 6.7.2(g)", "CIR 6.8.1", "CIR 12.4.1"],
            iso27001: &["5.9", "8.20", "8.22"],
        },
        techniques: &[],
        detail: None,
    }
    ZoneOtherVlan {
        id: "zone.other-vlan",
        raised: "an address of a zone that declares `vlans` is seen on another VLAN",
        severity: &[(PerhapsRouted, Fixed(Low)), (Always, Fixed(Medium))],
        requirements: Requirements {
            iec62443: &["SR 5.1", "SR 5.2 RE 1", "ZCR 6.4"],
            nis2: &["CIR 6.7.2(c)", "CIR 6.8.1"],
            iso27001: &["8.20", "8.22"],
        },
        techniques: &[],
        detail: None,
    }
    ProtoMalformed {
        id: "proto.malformed",
        raised: "a message breaks the specification of its protocol, or headers between declared hosts cannot be read",
        severity: &[(Always, Fixed(Medium))],
        requirements: Requirements {
            iec62443: &["SR 3.5", "SR 3.7", "SR 7.1"],
            nis2: &["21(2)(b)"],
            iso27001: &["8.16"],
        },
        techniques: &[(Always, &["T0814", "T0866"])],
        detail: None,
    }
    StreamAmbiguous {
        id: "stream.ambiguous",
        raised: "two packets have different bytes for the same place of a stream or datagram, so that it cannot be known which \
                 the receiver took; both are judged",
        severity: &[(Always, Fixed(High))],
        requirements: STREAM,
        techniques: &[],
        detail: None,
    }
    StreamGivenUp {
        id: "stream.given-up",
        raised: "more was out of order or incomplete than there is room for, and some of it was not read",
        severity: &[(Always, Fixed(Medium))],
        requirements: STREAM,
        techniques: &[],
        detail: None,
    }
}
}

const MAN_IN_THE_MIDDLE: &[(super::Circumstance, &[&str])] = &[(Always, &["T0830"])];

const OPERATION: Requirements = Requirements {
    iec62443: &["SR 2.1", "SR 2.1 RE 1", "SR 7.7"],
    nis2: &["21(2)(i)", "CIR 6.7.2(c)"],
    iso27001: &["5.15", "8.3"],
};

const CHANNEL: Requirements = Requirements {
    iec62443: &["SR 1.2", "SR 3.1 RE 1", "SR 4.1"],
    nis2: &["21(2)(h)", "CIR 9.2"],
    iso27001: &["8.5", "8.24"],
};

const SECURITY_POLICY: Requirements =
    Requirements { iec62443: &["SR 1.9", "SR 4.3"], nis2: &["21(2)(h)", "CIR 9.2(b)"], iso27001: &["8.24"] };

const IDENTITY: Requirements = Requirements {
    iec62443: &["SR 1.1", "SR 1.2", "SR 2.1"],
    nis2: &["21(2)(i)", "21(2)(j)", "CIR 11.6"],
    iso27001: &["5.16", "5.17", "8.5"],
};

const CERTIFICATE: Requirements = Requirements {
    iec62443: &["SR 1.8", "SR 1.9", "SR 4.3"],
    nis2: &["21(2)(h)", "CIR 9.2(c)"],
    iso27001: &["5.17", "8.24"],
};

const STREAM: Requirements = Requirements {
    iec62443: &["SR 3.1", "SR 3.5", "SR 6.2"],
    nis2: &["21(2)(b)", "CIR 3.2"],
    iso27001: &["8.16", "8.20"],
};
