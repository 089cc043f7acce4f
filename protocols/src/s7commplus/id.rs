//! The ids of objects and attributes that determine the class of an operation.
//!
//! Every attribute belongs to one class of objects, so its id alone is enough. The ids are those of the controller's
//! object model; symbols of a user program (LIDs) have no meaning without the project and are never looked up here.

use crate::operation::Class;

/// Class of the session that a client opens.
const SERVER_SESSION: u32 = 287;
/// Class of the container of subscriptions in a session.
const SUBSCRIPTIONS: u32 = 255;
/// Class of a subscription.
const SUBSCRIPTION: u32 = 1001;

/// Name of an object.
const OBJECT_NAME: u32 = 233;
/// In a session, the name of the client's adapter or computer.
pub(super) const SESSION_CLIENT_ID: u32 = 289;
pub(super) const SESSION_USER: u32 = 296;
pub(super) const SESSION_APPLICATION: u32 = 297;
pub(super) const SESSION_HOST: u32 = 298;
/// Versions of both ends, in a structure.
pub(super) const SESSION_VERSION: u32 = 306;
/// The member of [`SESSION_VERSION`] with product and firmware.
pub(super) const SESSION_VERSION_PRODUCT: u32 = 319;
/// The variables of a subscription, in an array of numbers.
pub(super) const SUBSCRIPTION_REFERENCES: u32 = 1048;
/// Identification and maintenance data 0, in a blob.
pub(super) const IDENTIFICATION: u32 = 3753;

/// The class of creating an object of a class.
pub(super) const fn creation_class(class: u32) -> Class {
    match class {
        SERVER_SESSION => Class::Session,
        SUBSCRIPTIONS | SUBSCRIPTION => Class::Subscribe,
        _ => Class::Program,
    }
}

/// The class of an object to which a controller assigned this id: ids of subscriptions begin with 1 or 7, sessions have
/// the lowest numbers.
pub(super) const fn object_class(object: u32) -> Class {
    match object {
        0..=0xFFFF => Class::Session,
        0x1000_0000..=0x1FFF_FFFF | 0x7000_0000..=0x7FFF_FFFF => Class::Subscribe,
        _ => Class::Program,
    }
}

/// The class of writing an attribute, if it differs from that of the function.
pub(super) const fn write_class(attribute: u32) -> Option<Class> {
    match attribute {
        // SystemTime, LocalTime and the rule between them.
        2415 | 2421 | 2422 => Some(Class::Time),
        // CPUexecUnit.OperatingStateREQ: stop, start, memory reset; CardReaderWriter.MCcommandREQ: format, reset.
        2167 | 2118 => Some(Class::Control),
        SESSION_CLIENT_ID..=302 | SESSION_VERSION => Some(Class::Session),
        // Trigger, route, activity, list, cycle, delay, credit and ticks of a subscription.
        1002..=1005 | 1040 | 1041 | 1048..=1054 => Some(Class::Subscribe),
        _ if is_secret(attribute) => Some(Class::Security),
        _ if is_code(attribute) => Some(Class::Program),
        _ => None,
    }
}

/// The class of reading an attribute, if it differs from that of the function.
pub(super) const fn read_class(attribute: u32) -> Option<Class> {
    match attribute {
        // Versions of the controller's object model; identification and maintenance.
        2459..=2463 | IDENTIFICATION => Some(Class::Identify),
        // DB.ValueActual and ControllerArea.ValueActual.
        2550 | 3736 => Some(Class::Read),
        SESSION_CLIENT_ID..=302 | SESSION_VERSION => Some(Class::Session),
        OBJECT_NAME => Some(Class::Browse),
        _ if is_secret(attribute) => Some(Class::Security),
        _ if is_code(attribute) => Some(Class::ProgramUpload),
        _ => None,
    }
}

/// Whether an id holds secrets, whose values are never reported: challenge, response and roles of a session, passwords;
/// keys, MACs, protection levels and legitimation; users; know-how protection.
pub(super) const fn is_secret(id: u32) -> bool {
    matches!(id, 303..=305 | 309 | 310 | 1800..=1830 | 1842..=1846 | 2002 | 3448 | 3449)
}

/// Whether an attribute is part of a program: body, interface, compiler settings, comments, code, references, debug
/// information.
pub(super) const fn is_code(attribute: u32) -> bool {
    matches!(attribute, 2533 | 2544..=2546 | 2580 | 2582..=2591)
}

/// Whether an object is part of the user program: blocks and types. Exploring one without naming attributes returns all
/// of them.
pub(super) const fn is_program(object: u32) -> bool {
    matches!(object, 0x8A00_0000..=0x8AFF_FFFF)
}
