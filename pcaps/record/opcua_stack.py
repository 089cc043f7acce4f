"""A session with an OPC UA controller through the Python stack (asyncua), and its keys.

`KEYS` in the environment names a file that gets the keys of every encrypted channel, in the lines that Wireshark's
dissector reads (preference `Network Key File` of OPC UA).
"""

import contextlib
import logging
import os
import pathlib

from asyncua import Client, ua
from asyncua.common.connection import SecureConnection
from asyncua.crypto import security_policies, uacrypto

import opcua_certs
import opcua_names as names

logging.disable(logging.CRITICAL)
CERTIFICATES = pathlib.Path(os.environ["CERTIFICATES"])
KEYS = os.environ.get("KEYS")
# Name on the wire, behind the last `#`: how asyncua calls it.
POLICIES = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    "Basic128Rsa15": security_policies.SecurityPolicyBasic128Rsa15,
}
SIGN, ENCRYPT = ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt


class Link:
    """A session. What the controller refuses is only noted; `async with Link(...) as link`."""

    def __init__(self, host, who="scada", mode=None, policy="Basic256Sha256", user=None, password=None,
                 certificate=None, application=None, lifetime=3_600_000, buffer=None, url=None):
        self.client = Client(url or names.url(host), watchdog_intervall=60)
        self.client.name = who.upper()
        self.client.application_uri = application or opcua_certs.uri(who)
        self.client.secure_channel_timeout = lifetime
        # The client asks whether the server still lives only when nothing else did.
        self.client._stale_check_interval = 60
        self.security = (who, mode, policy)
        self.user, self.password, self.certificate = user, password, certificate
        if buffer:
            self.agree_on(buffer)

    def agree_on(self, buffer):
        """Says hello with small buffers, so that both sides send what is larger in chunks."""
        hello = self.client.send_hello

        async def small_hello():
            limits = self.client.uaclient.protocol._connection._limits
            limits.max_recv_buffer = limits.max_send_buffer = buffer
            await hello()

        self.client.send_hello = small_hello

    async def __aenter__(self):
        await self.prepare()
        await self.client.connect()
        return self

    async def __aexit__(self, *_):
        with contextlib.suppress(Exception):
            await self.client.disconnect()

    async def prepare(self):
        who, mode, policy = self.security
        if mode is not None:
            server = CERTIFICATES / ("weir.der" if names.WEIR in self.client.server_url.netloc else "tide.der")
            await self.client.set_security(POLICIES[policy], CERTIFICATES / f"{who}.der",
                                           CERTIFICATES / f"{who}-key.pem", server_certificate=server, mode=mode)
        if self.user:
            self.client.set_user(self.user)
            self.client.set_password(self.password or names.USERS[self.user])
        if self.certificate:
            await self.client.load_client_certificate(CERTIFICATES / f"{self.certificate}.der")
            self.client.user_private_key = await uacrypto.load_private_key(
                CERTIFICATES / f"{self.certificate}-key.pem")

    @property
    def services(self):
        """Every service of the session, as the standard has them."""
        return self.client.uaclient.session

    async def attempt(self, awaitable):
        """What it gives, or nothing if it is refused."""
        try:
            return await awaitable
        except Exception as refusal:
            print(f"refused: {refusal!r}"[:200])
            return None

    async def request(self, request):
        """Sends a service that the client has no function for."""
        return await self.attempt(self.client.uaclient.protocol.send_request(request))

    async def read(self, *nodes, attribute=ua.AttributeIds.Value):
        return await self.attempt(self.services.read_attributes([node_id(node) for node in nodes], attribute))

    async def write(self, *pairs, attribute=ua.AttributeIds.Value):
        """One Write of (node, variant) pairs."""
        nodes, values = [node_id(node) for node, _ in pairs], [ua.DataValue(variant) for _, variant in pairs]
        return await self.attempt(self.services.write_attributes(nodes, values, attribute))

    async def call(self, *methods):
        """One Call of (object, method, variants...) tuples."""
        asked = [ua.CallMethodRequest(node_id(one), node_id(what), list(rest)) for one, what, *rest in methods]
        return await self.attempt(self.services.call(asked))

    async def browse(self, *nodes, most=0):
        described = [ua.BrowseDescription(node_id(node), ResultMask=63) for node in nodes]
        asked = ua.BrowseParameters(RequestedMaxReferencesPerNode=most, NodesToBrowse=described)
        return await self.attempt(self.services.browse(asked))


def node_id(node):
    return ua.NodeId.from_string(node) if isinstance(node, str) else node


def double(value):
    return ua.Variant(value, ua.VariantType.Double)


def word(value):
    return ua.Variant(value, ua.VariantType.UInt16)


# ---------------------------------------------------------------- keys


def log_keys(connection):
    """Writes the keys of the token that a client's connection has begun to use."""
    crypto = connection.security_policy.symmetric_cryptography
    token = connection.security_token
    if connection.security_policy.Mode != ENCRYPT:
        return
    from_client = uacrypto.p_sha256(connection.remote_nonce, connection.local_nonce, sizes_of(connection))
    from_server = uacrypto.p_sha256(connection.local_nonce, connection.remote_nonce, sizes_of(connection))
    with open(KEYS, "a", encoding="ascii") as log:
        for side, (_, key, vector) in (("client", from_client), ("server", from_server)):
            suffix = f"{token.ChannelId}_{token.TokenId}"
            log.write(f"{side}_iv_{suffix}: {vector.hex().upper()}\n{side}_key_{suffix}: {key.hex().upper()}\n"
                      f"{side}_siglen_{suffix}: {crypto.signature_size()}\n")


def sizes_of(connection):
    policy = connection.security_policy
    return policy.signature_key_size, policy.symmetric_key_size, 16


def logged(function):
    def with_keys(connection, *arguments):
        before = connection.security_token.TokenId
        function(connection, *arguments)
        if function.__name__ == "revolve_tokens" or connection.security_token.TokenId != before:
            log_keys(connection)

    return with_keys


if KEYS:
    for name in ("set_channel", "revolve_tokens"):
        setattr(SecureConnection, name, logged(getattr(SecureConnection, name)))
