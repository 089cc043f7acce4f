"""What the hosts of the plant do to OPC UA controllers with the Python stack: `opcua_scenes.py SCENE [ARGUMENT...]`.

Each function is one scene; its docstring says who plays it. Raw bytes (opcua_wire.py) where the stack cannot send what
the scene needs.
"""

import asyncio
import sys

from asyncua import ua

import opcua_wire
from opcua_names import (COMMAND, COUNTER, FOLDER, LABEL, LEVEL, MOVE, OBJECT, POSITION, RECIPE, RECIPE_NODE, RESET,
                         RUNNING, SERIAL, SETPOINT, TAGS, WEIR, string_id, tag)
from opcua_stack import ENCRYPT, SIGN, Link, double, word

SERVER_STATE, SERVICE_LEVEL, NAMESPACES = "i=2259", "i=2267", "i=2255"
STRING, TEXT = ua.VariantType.String, ua.VariantType.LocalizedText


def operator(host, **more):
    """SCADA-1 as its flow wants it."""
    return Link(host, "scada", SIGN, user="operator", **more)


# ---------------------------------------------------------------- operation


async def poll(host=WEIR, rounds="8", pause="0.3"):
    """SCADA-1 polls a controller, turns the set point within its limits, and moves the gate."""
    async with operator(host) as link:
        for turn in range(int(rounds)):
            await link.read(LEVEL, POSITION, RUNNING, COUNTER)
            if turn % 3 == 1:
                await link.write((SETPOINT, double((1.1, 1.25, 1.1, 1.0)[turn // 3 % 4])))
            if turn % 3 == 2:
                metres, command = ((1.15, 1), (1.2, 2), (1.05, 4))[turn // 3 % 3]
                await link.write((SETPOINT, double(metres)), (COMMAND, word(command)))
                await link.call((OBJECT, MOVE, double(1.5)))
            await asyncio.sleep(float(pause))


async def operations(host=WEIR, how="none", policy="Basic256Sha256"):
    """EWS-1 does the same whatever the security: the three captures `opcua-none`, `-sign` and `-encrypt`."""
    mode = {"none": None, "sign": SIGN, "encrypt": ENCRYPT}[how]
    async with Link(host, "ews", mode, policy) as link:
        await link.read(SERIAL, POSITION, SETPOINT, LABEL)
        await link.read(SETPOINT, attribute=ua.AttributeIds.DisplayName)
        await link.write((SETPOINT, double(1.1)), (COMMAND, word(2)))
        await link.write((SERIAL, ua.Variant("W-0", STRING)))                # refused
        await link.write((LABEL, ua.Variant("Weir one", STRING)))
        await link.call((OBJECT, MOVE, double(1.5)), (OBJECT, RESET))
        await link.call((OBJECT, MOVE, double(9.5)))                         # refused by the method
        await link.browse(OBJECT, FOLDER)
        await link.attempt(link.client.get_node("i=85").get_child(["2:Weir", "2:Level"]))
        await link.read(RECIPE_NODE)
        subscription = await link.client.create_subscription(100, Listener())
        await subscription.subscribe_data_change([link.client.get_node(SETPOINT), link.client.get_node(LABEL)])
        await asyncio.sleep(0.35)
        await link.write((SETPOINT, double(1.0)))
        await asyncio.sleep(0.35)
        await link.attempt(subscription.delete())


async def policies(host=WEIR):
    """EWS-1 opens encrypted channels of every policy that is not deprecated, and reads and writes in each."""
    for policy in ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"):
        async with Link(host, "ews", ENCRYPT, policy) as link:
            await link.read(SERIAL, SETPOINT)
            await link.write((SETPOINT, double(1.0)))


async def renewals():
    """EWS-1 keeps a channel over three of its tokens; the server continues with the old one as long as the client uses it."""
    async with Link(WEIR, "ews", ENCRYPT, lifetime=60_000) as link:
        for turn in range(3):
            await link.read(SERIAL, SETPOINT)
            await link.client.open_secure_channel(renew=True)
            await link.write((COMMAND, word(turn)))
            await link.read(SERIAL)


class Listener:
    """Receives the notifications of a subscription and ignores them."""

    def datachange_notification(self, node, value, data):
        pass

    def event_notification(self, event):
        pass

    def status_change_notification(self, status):
        pass


async def subscriptions(host=WEIR):
    """HIST-1 creates, modifies and deletes subscriptions, and receives their notifications."""
    async with Link(host, "hist", SIGN, certificate="collector") as link:
        subscription = await link.client.create_subscription(200, Listener())
        heard = [link.client.get_node(node) for node in (LEVEL, RUNNING, COUNTER)]
        handles = await subscription.subscribe_data_change(heard)
        await subscription.subscribe_events()
        await asyncio.sleep(1.2)
        await link.attempt(subscription.modify_monitored_item(handles[0], 500))
        await link.attempt(subscription.set_monitoring_mode(ua.MonitoringMode.Disabled))
        await asyncio.sleep(0.4)
        await link.attempt(subscription.set_monitoring_mode(ua.MonitoringMode.Reporting))
        await link.attempt(subscription.set_publishing_mode(False))
        await link.attempt(subscription.set_publishing_mode(True))
        await link.attempt(link.services.republish(subscription.subscription_id, 2))
        await link.attempt(link.services.republish(subscription.subscription_id, 9999))
        await link.attempt(subscription.unsubscribe(handles[1]))
        second = await link.client.create_subscription(400, Listener())
        await second.subscribe_data_change(link.client.get_node(tag(1)))
        await link.attempt(second.subscribe_data_change(link.client.get_node(string_id("Nothing"))))
        await asyncio.sleep(0.5)
        await link.attempt(link.services.transfer_subscriptions(
            ua.TransferSubscriptionsParameters([second.subscription_id, 4711], True)))
        await link.attempt(second.delete())
        await link.attempt(subscription.delete())


async def history(host=WEIR):
    """HIST-1 reads what was; deletes of it that it tries are refused."""
    async with Link(host, "hist", SIGN, certificate="collector") as link:
        await asyncio.sleep(0.6)
        await link.attempt(link.client.get_node(LEVEL).read_raw_history(numvalues=10))
        await link.attempt(link.client.get_node(SERIAL).read_raw_history(numvalues=3))


async def writes(host=WEIR):
    """SCADA-1 writes what it may, and beyond it: limits, step, list, other nodes, other attributes, wrong types."""
    async with operator(host) as link:
        await link.write((SETPOINT, double(1.1)))                            # permitted
        await link.write((SETPOINT, double(2.5)))                            # a step of 1.4, allowed 0.2
        await link.write((SETPOINT, double(9.0)))                            # above 4.2
        await link.write((SETPOINT, double(1.2)))                            # permitted: from 1.1
        await link.write((COMMAND, word(3)))                                 # not in the list
        await link.write((COMMAND, word(4)), (SETPOINT, double(5.0)))        # the first permitted, the second too high
        await link.write((LABEL, ua.Variant("mine", STRING)))                # no point that may be written
        await link.write((SERIAL, ua.Variant("W-1", STRING)))                # neither, and the server refuses
        await link.write((string_id("Nothing"), double(1.0)))                # there is none
        await link.write((SETPOINT, ua.Variant("high", STRING)))             # the wrong type
        await link.write((SETPOINT, ua.Variant(ua.LocalizedText("Set"), TEXT)), attribute=ua.AttributeIds.DisplayName)
        await link.read(LABEL)                                               # no point that may be read
        await link.read(LEVEL)                                               # permitted


async def calls(host=WEIR):
    """SCADA-1 calls the method that it may, then others; some of them the server refuses."""
    async with operator(host) as link:
        await link.call((OBJECT, MOVE, double(1.5)))                         # permitted
        await link.call((OBJECT, MOVE, double(9.5)))                         # permitted, refused: out of range
        await link.call((OBJECT, MOVE))                                      # permitted, refused: no argument
        await link.call((OBJECT, RESET))
        await link.call((OBJECT, string_id("Weir.Nothing")))
        await link.call(("i=2253", "i=12886", ua.Variant(4, ua.VariantType.Int32)))    # RequestServerStateChange
        await link.call(("i=2253", "i=11492", ua.Variant(1, ua.VariantType.UInt32)))   # GetMonitoredItems
        await link.call((OBJECT, MOVE, double(1.25)), (OBJECT, RESET))       # one of two permitted


async def browse(host=WEIR, who="ews"):
    """EWS-1 walks through the address space, resolves paths, registers nodes, and reads every tag."""
    async with Link(host, who) as link:
        await sweep(link)
        await link.attempt(link.client.get_node("i=85").get_child(["2:Tags", "2:T001"]))
        await link.attempt(link.client.get_node("i=85").get_child(["2:Tags", "2:Nothing"]))
        await link.attempt(link.services.register_nodes([ua.NodeId.from_string(tag(1)), ua.NodeId.from_string(tag(2))]))
        await link.attempt(link.services.unregister_nodes([ua.NodeId.from_string(tag(1))]))
        await link.request(ua.QueryFirstRequest())
        await link.browse(string_id("Nothing"))


async def sweep(link, deep=3):
    """Browses level by level from the objects folder, then reads what it found."""
    found, known = ["i=85"], set()
    for _ in range(deep):
        results = await link.browse(*found) or []
        known.update(found)
        targets = [str(one.NodeId.to_string()) for result in results for one in result.References or []]
        found = [node for node in dict.fromkeys(targets) if node not in known and node.startswith("ns=2")][:20]
    await link.read(*[tag(number) for number in range(TAGS)])


async def nodes(host=WEIR):
    """EWS-1 adds and deletes nodes and references, as far as the server lets it."""
    async with Link(host, "ews", SIGN, user="engineer") as link:
        item = ua.AddNodesItem(
            ParentNodeId=ua.NodeId.from_string(FOLDER), ReferenceTypeId=ua.NodeId(ua.ObjectIds.Organizes),
            RequestedNewNodeId=ua.NodeId.from_string(string_id("Tags.New")), BrowseName=ua.QualifiedName("New", 2),
            NodeClass=ua.NodeClass.Object, NodeAttributes=ua.ObjectAttributes(DisplayName=ua.LocalizedText("New")),
            TypeDefinition=ua.NodeId(ua.ObjectIds.BaseObjectType))
        await link.attempt(link.services.add_nodes([item, item]))
        reference = dict(SourceNodeId=ua.NodeId.from_string(FOLDER), ReferenceTypeId=ua.NodeId(ua.ObjectIds.Organizes),
                         IsForward=True)
        target = ua.NodeId.from_string(OBJECT)
        await link.attempt(link.services.add_references(
            [ua.AddReferencesItem(TargetNodeId=target, TargetNodeClass=ua.NodeClass.Object, **reference)]))
        await link.attempt(link.services.delete_references(
            [ua.DeleteReferencesItem(TargetNodeId=target, DeleteBidirectional=True, **reference)]))
        gone = [ua.DeleteNodesItem(NodeId=ua.NodeId.from_string(string_id(name))) for name in ("Tags.New", "Nothing")]
        await link.attempt(link.services.delete_nodes(ua.DeleteNodesParameters(NodesToDelete=gone)))


async def chunks(host=WEIR):
    """EWS-1 reads and writes an array that does not fit into a chunk, in the clear and signed."""
    for mode in (None, SIGN):
        async with Link(host, "ews", mode, buffer=8192) as link:             # the smallest that the standard allows
            await link.read(RECIPE_NODE, SERIAL)
            await link.write((RECIPE_NODE, double([number / 4 for number in range(RECIPE)])), (COMMAND, word(1)))
            await link.read(LEVEL)


async def identities(host=WEIR):
    """SCADA-1 logs in anonymously, by name, by certificate, and with a wrong password; then by name without permission."""
    for how in ({}, {"user": "operator"}, {"certificate": "collector"}, {"user": "operator", "password": "wrong"},
                {"user": "nobody", "password": "guess-1"}, {"user": "engineer"}):
        link = Link(host, "scada", SIGN, **how)
        await link.prepare()
        if await link.attempt(link.client.connect()) is not None or link.client.uaclient.session.authentication_token:
            await link.read(LEVEL)
        await link.__aexit__()


async def discover(host=WEIR):
    """EWS-1 asks for servers and endpoints, as a client does before it connects."""
    link = Link(host, "ews")
    await link.attempt(link.client.connect_and_get_server_endpoints())
    await link.attempt(link.client.connect_and_find_servers())
    await link.attempt(link.client.connect_and_find_servers_on_network())


# ---------------------------------------------------------------- weak security


async def password():
    """SCADA-1 sends its password in the clear: a channel without security to a server that offers nothing else."""
    async with Link(WEIR, "scada", user="operator") as link:
        await link.read(LEVEL)
        await link.write((SETPOINT, double(1.1)))


async def downgrade():
    """HIST-1 comes with Sign and encryption, then signed only, then without any security; then as before."""
    for mode in (ENCRYPT, SIGN, None, ENCRYPT):
        async with Link(WEIR, "hist", mode, certificate="collector" if mode else None) as link:
            await link.read(LEVEL, RUNNING)


async def certificate(name, application=None):
    """HIST-1 shows a certificate that it should not."""
    policy = "Basic128Rsa15" if name == "sha1" else "Basic256Sha256"
    async with Link(WEIR, name, SIGN, policy, application=application) as link:
        await link.read(LEVEL)


# ---------------------------------------------------------------- beyond what is permitted


async def attack():
    """JUMP-1, which no flow lets near: discovers, sweeps, writes, and calls; then guesses the engineer's password."""
    link = Link(WEIR, "jump")
    await link.attempt(link.client.connect_and_get_server_endpoints())
    async with Link(WEIR, "jump") as link:
        await link.read(NAMESPACES, SERVER_STATE, SERVICE_LEVEL)
        await sweep(link)
        await link.write((SETPOINT, double(4.1)), (COMMAND, word(4)))
        await link.call((OBJECT, MOVE, double(4.1)))
    for guess in ("engineer", "admin", "123456", "weir", "keystone-7"):
        link = Link(WEIR, "jump", SIGN, user="engineer", password=guess)
        await link.prepare()
        await link.attempt(link.client.connect())
        await link.read(SERIAL)
        await link.__aexit__()


async def new_host():
    """An undeclared host reads and writes a command."""
    async with Link(WEIR, "jump") as link:
        await link.read(LEVEL, SETPOINT)
        await link.write((COMMAND, word(1)))


async def idle_then_write():
    """JUMP-1 is connected, without security, when the tap starts: reads, a write, a call."""
    async with Link(WEIR, "jump") as link:
        await asyncio.sleep(3)
        for _ in range(3):
            await link.read(LEVEL, POSITION)
        await link.write((LABEL, ua.Variant("mid", STRING)))
        await link.call((OBJECT, MOVE, double(1.5)))


async def poll_quickly():
    """SCADA-1 polls without a pause; in between a write that is not declared."""
    async with operator(WEIR) as link:
        for turn in range(60):
            await link.read(LEVEL, POSITION, RUNNING)
            if turn == 30:
                await link.write((LABEL, ua.Variant("odd", STRING)))


async def small_pieces():
    """JUMP-1 through a proxy that cuts what it sends: reads, a write, a call."""
    async with Link(WEIR, "jump", url="opc.tcp://127.0.0.1:4840") as link:
        await link.read(LEVEL, POSITION)
        await link.write((SETPOINT, double(1.1)))
        await link.call((OBJECT, RESET))


async def errors():
    """EWS-1 asks for what a server cannot give, and sends what it cannot take: ServiceFault, ERR, abort."""
    async with Link(WEIR, "ews") as link:
        await link.request(ua.QueryFirstRequest())                           # not supported
        await link.request(ua.CancelRequest())
        await link.attempt(link.services.browse_next(ua.BrowseNextParameters(ContinuationPoints=[b"none"])))
        await link.read(string_id("Nothing"), "i=999999")
        await link.attempt(link.services.delete_subscriptions([77]))
        await link.attempt(link.services.republish(77, 1))
    opcua_wire.errors(WEIR)
    opcua_wire.aborted(WEIR)


if __name__ == "__main__":
    asyncio.run(globals()[sys.argv[1].replace("-", "_")](*sys.argv[2:]))
