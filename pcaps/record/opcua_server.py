"""An OPC UA controller of the plant with the Python stack: `opcua_server.py ADDRESS CERTIFICATES [POLICY...]`.

With policies (names of asyncua.ua.SecurityPolicyType) it offers only these. Anonymous users may read and write like
everybody; user names are those of opcua_names, certificates those of the folder.
"""

import asyncio
import logging
import pathlib
import sys

from asyncua import Server, ua, uamethod
from asyncua.crypto import security_policies, uacrypto
from asyncua.crypto.permission_rules import User, UserRole

import opcua_names as names

logging.disable(logging.CRITICAL)
POLICIES = ["NoSecurity", "Basic256Sha256_Sign", "Basic256Sha256_SignAndEncrypt"]


class Users:
    """Permitted identities: anonymous, the users of the plant, and the collector's certificate."""

    def __init__(self, certificates):
        self.certificate = uacrypto.der_from_x509(uacrypto.x509_from_der((certificates / "collector.der").read_bytes()))

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if username is not None:
            known = names.USERS.get(username) == password
            return User(UserRole.Admin if username == "engineer" else UserRole.User, username) if known else None
        return User(UserRole.User)


@uamethod
def move_to(parent, metres):
    if not -0.5 <= metres <= 4.2:
        return ua.StatusCode(ua.StatusCodes.BadOutOfRange)
    return metres


@uamethod
def reset(parent):
    pass


async def variable(parent, node, name, value, kind, writable=False):
    found = await parent.add_variable(ua.NodeId.from_string(node), ua.QualifiedName(name, 2), value, varianttype=kind)
    if writable:
        await found.set_writable()
    return found


async def populate(server):
    """The address space; returns what changes with time."""
    weir = await server.nodes.objects.add_object(ua.NodeId.from_string(names.OBJECT), ua.QualifiedName("Weir", 2))
    double, kind = ua.VariantType.Double, ua.VariantType
    level = await variable(weir, names.LEVEL, "Level", 1.25, double)
    await variable(weir, names.POSITION, "Position", 12.5, kind.Float)
    running = await variable(weir, names.RUNNING, "Running", True, kind.Boolean)
    await variable(weir, names.SETPOINT, "Setpoint", 1.0, double, True)
    await variable(weir, names.COMMAND, "Command", 0, kind.UInt16, True)
    await variable(weir, names.RECIPE_NODE, "Recipe", [number / 8 for number in range(names.RECIPE)], double, True)
    await variable(weir, names.LABEL, "Label", "Weir", kind.String, True)
    await variable(weir, names.SERIAL, "Serial", "W-2231-07", kind.String)
    counter = await variable(weir, names.COUNTER, "Counter", 7, kind.Int32)
    await weir.add_method(ua.NodeId.from_string(names.MOVE), ua.QualifiedName("MoveTo", 2), move_to, [double], [double])
    await weir.add_method(ua.NodeId.from_string(names.RESET), ua.QualifiedName("Reset", 2), reset, [], [])
    tags = await server.nodes.objects.add_folder(ua.NodeId.from_string(names.FOLDER), ua.QualifiedName("Tags", 2))
    for number in range(names.TAGS):
        await variable(tags, names.tag(number), f"T{number:03}", number, kind.Int32)
    await server.historize_node_data_change(level, period=None, count=100)
    return level, running, counter


async def main(address, certificates, *policies):
    certificates = pathlib.Path(certificates)
    server = Server(user_manager=Users(certificates))
    await server.init()
    server.set_endpoint(names.url(address))
    server.set_server_name("Weir")
    await server.set_application_uri(names.APPLICATION)
    await server.load_certificate(certificates / "weir.der")
    await server.load_private_key(certificates / "weir-key.pem")
    server.set_security_policy([ua.SecurityPolicyType[name] for name in policies or POLICIES])
    server.set_identity_tokens([ua.AnonymousIdentityToken, ua.UserNameIdentityToken, ua.X509IdentityToken])
    assert await server.register_namespace("urn:plant.example:nodes") == 2
    level, running, counter = await populate(server)
    async with server:
        for turn in range(1 << 30):
            await asyncio.sleep(0.25)
            await level.write_value(1.25 + turn % 8 / 100)
            await counter.write_value(ua.Variant(7 + turn, ua.VariantType.Int32))
            if turn % 6 == 5:
                await running.write_value(turn % 12 != 5)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
