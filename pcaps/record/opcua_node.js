// The JavaScript stack (node-opcua) on hosts of the plant: `opcua_node.js server|reverse-server|SCENE [ARGUMENT...]`.
//
// The server has the same nodes as that of the Python stack (opcua_server.py), and beyond it BrowseNext with continuation
// points and reverse connect. CERTIFICATES in the environment is the folder of opcua_certs.py, STATE one to write to.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const opcua = require("node-opcua");

const { DataType, MessageSecurityMode, SecurityPolicy, StatusCodes, UserTokenType, Variant, VariantArrayType } = opcua;
const [TIDE, SCADA] = ["10.20.10.16", "10.20.20.10"];
const [PORT, REVERSE_PORT] = [4840, 4850];
const id = (name) => `ns=2;s=${name}`;
const [LEVEL, POSITION, RUNNING, SETPOINT, COMMAND, LABEL, RECIPE] =
    ["Level", "Position", "Running", "Setpoint", "Command", "Label", "Recipe"].map((name) => id(`Weir.${name}`));
const [OBJECT, MOVE, RESET, SERIAL] = [id("Weir"), id("Weir.MoveTo"), id("Weir.Reset"), "ns=2;i=1001"];
const COUNTER = "ns=2;g=6d9e0c4a-1f52-4b8e-9a37-0c5e2f7a1b90";
const [TAGS, RECIPE_SIZE] = [16, 2500];
const tag = (number) => id(`Tags.${String(number).padStart(3, "0")}`);
const USERS = { operator: "weir-42", engineer: "keystone-7" };
const file = (name) => path.join(process.env.CERTIFICATES, name);
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

async function certificateManager(name) {
    const manager = new opcua.OPCUACertificateManager({
        automaticallyAcceptUnknownCertificate: true,
        rootFolder: path.join(process.env.STATE, name),
    });
    await manager.initialize();
    return manager;
}

// ---------------------------------------------------------------- the controller

async function startServer(address, more = {}) {
    const server = new opcua.OPCUAServer({
        hostname: address,
        host: address,
        port: PORT,
        alternateHostname: [address],
        certificateFile: file("tide.pem"),
        privateKeyFile: file("tide-key.pem"),
        serverCertificateManager: await certificateManager("server"),
        userCertificateManager: await certificateManager("users"),
        serverInfo: { applicationUri: "urn:plant.example:tide", applicationName: { text: "Tide" } },
        buildInfo: { productName: "Tide", buildNumber: "31", manufacturerName: "Plant", softwareVersion: "4.2.1" },
        userManager: { isValidUser: (user, password) => USERS[user] === password },
        securityModes: [MessageSecurityMode.None, MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt],
        securityPolicies: [SecurityPolicy.None, SecurityPolicy.Basic256Sha256, SecurityPolicy.Aes256_Sha256_RsaPss],
        disableDiscovery: true,
        ...more,
    });
    await server.initialize();
    populate(server.engine.addressSpace);
    await server.start();
    return server;
}

function populate(space) {
    const own = space.registerNamespace("urn:plant.example:nodes");
    const weir = own.addObject({ organizedBy: space.rootFolder.objects, browseName: "Weir", nodeId: "s=Weir" });
    const variable = (parent, nodeId, browseName, dataType, value, writable = false) => own.addVariable({
        componentOf: parent, nodeId, browseName, dataType, minimumSamplingInterval: 100,
        accessLevel: writable ? "CurrentRead | CurrentWrite" : "CurrentRead",
        userAccessLevel: writable ? "CurrentRead | CurrentWrite" : "CurrentRead",
        ...value,
    });
    const plain = (dataType, value) => ({ value: new Variant({ dataType, value }) });
    let turn = 0;
    const changing = { value: { get: () => new Variant({ dataType: DataType.Double, value: 1.25 + (turn++ % 8) / 100 }) } };
    variable(weir, "s=Weir.Level", "Level", "Double", changing);
    variable(weir, "s=Weir.Position", "Position", "Float", plain(DataType.Float, 12.5));
    variable(weir, "s=Weir.Running", "Running", "Boolean", plain(DataType.Boolean, true));
    variable(weir, "s=Weir.Setpoint", "Setpoint", "Double", plain(DataType.Double, 1.0), true);
    variable(weir, "s=Weir.Command", "Command", "UInt16", plain(DataType.UInt16, 0), true);
    variable(weir, "s=Weir.Label", "Label", "String", plain(DataType.String, "Tide"), true);
    variable(weir, "i=1001", "Serial", "String", plain(DataType.String, "T-0815"));
    variable(weir, "g=6d9e0c4a-1f52-4b8e-9a37-0c5e2f7a1b90", "Counter", "Int32", plain(DataType.Int32, 7));
    const recipe = new Variant({
        dataType: DataType.Double, arrayType: VariantArrayType.Array,
        value: Float64Array.from({ length: RECIPE_SIZE }, (_, number) => number / 8),
    });
    variable(weir, "s=Weir.Recipe", "Recipe", "Double", { valueRank: 1, value: recipe }, true);
    methods(own, weir);
    const tags = own.addFolder(space.rootFolder.objects, { browseName: "Tags", nodeId: "s=Tags" });
    for (let number = 0; number < TAGS; number++) {
        const name = String(number).padStart(3, "0");
        variable(tags, `s=Tags.${name}`, `T${name}`, "Int32", plain(DataType.Int32, number));
    }
}

function methods(own, weir) {
    const metres = { name: "metres", dataType: DataType.Double };
    own.addMethod(weir, { nodeId: "s=Weir.MoveTo", browseName: "MoveTo", inputArguments: [metres], outputArguments: [metres] })
        .bindMethod((asked, _context, done) => {
            const fine = asked[0].value >= -0.5 && asked[0].value <= 4.2;
            const statusCode = fine ? StatusCodes.Good : StatusCodes.BadOutOfRange;
            done(null, { statusCode, outputArguments: [{ dataType: DataType.Double, value: asked[0].value }] });
        });
    own.addMethod(weir, { nodeId: "s=Weir.Reset", browseName: "Reset", inputArguments: [], outputArguments: [] })
        .bindMethod((_asked, _context, done) => done(null, { statusCode: StatusCodes.Good, outputArguments: [] }));
}

// ---------------------------------------------------------------- its clients

const MODES = { none: MessageSecurityMode.None, sign: MessageSecurityMode.Sign, encrypt: MessageSecurityMode.SignAndEncrypt };

async function makeClient(who, mode, policy, more = {}) {
    return opcua.OPCUAClient.create({
        applicationName: who.toUpperCase(),
        applicationUri: `urn:plant.example:${who}`,
        certificateFile: file(`${who}.pem`),
        privateKeyFile: file(`${who}-key.pem`),
        clientCertificateManager: await certificateManager(`client-${who}-${process.pid}`),
        securityMode: MODES[mode],
        securityPolicy: mode === "none" ? SecurityPolicy.None : SecurityPolicy[policy],
        endpointMustExist: false,
        connectionStrategy: { maxRetry: 0 },
        keepSessionAlive: false,
        ...more,
    });
}

const user = (userName) => ({ type: UserTokenType.UserName, userName, password: USERS[userName] });

// A session with a server; `play` gets it.
async function session(host, who, { mode = "sign", policy = "Basic256Sha256", as, more } = {}, play) {
    const client = await makeClient(who, mode, policy, more);
    await client.connect(`opc.tcp://${host}:${PORT}`);
    const opened = await client.createSession(as && user(as));
    await play(opened);
    await opened.close();
    await client.disconnect();
}

const noted = (promise) => promise.catch((refusal) => console.log(`refused: ${refusal.message}`));
const read = (one, ...nodes) => noted(one.read(nodes.map((nodeId) => ({ nodeId, attributeId: opcua.AttributeIds.Value }))));
const write = (one, ...pairs) => noted(one.write(pairs.map(([nodeId, dataType, value]) => (
    { nodeId, attributeId: opcua.AttributeIds.Value, value: { value: { dataType, value } } }))));
const call = (one, methodId, ...numbers) => noted(one.call({
    objectId: OBJECT, methodId, inputArguments: numbers.map((value) => ({ dataType: DataType.Double, value })),
}));

const scenes = {
    // SCADA-1 polls and operates a controller within its flow.
    async poll(host = TIDE, rounds = 6) {
        await session(host, "scada", { as: "operator" }, async (one) => {
            for (let turn = 0; turn < rounds; turn++) {
                await read(one, LEVEL, POSITION, RUNNING, COUNTER);
                if (turn % 3 === 1) await write(one, [SETPOINT, DataType.Double, 1.1]);
                if (turn % 3 === 2) await call(one, MOVE, 1.5);
                await sleep(0.3);
            }
        });
    },

    // HIST-1 subscribes to what changes, encrypted or signed.
    async subscribe(host = TIDE, mode = "sign") {
        await session(host, "hist", { mode }, async (one) => {
            const subscription = await one.createSubscription2({
                requestedPublishingInterval: 200, requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 3,
                maxNotificationsPerPublish: 10, publishingEnabled: true, priority: 1,
            });
            const items = [LEVEL, RUNNING].map((nodeId) => ({ nodeId, attributeId: opcua.AttributeIds.Value }));
            const queue = { samplingInterval: 200, discardOldest: true, queueSize: 10 };
            await subscription.monitorItems(items, queue, opcua.TimestampsToReturn.Both);
            await sleep(1.5);
            await noted(subscription.terminate());
        });
    },

    // EWS-1 walks through the address space, a few references at a time.
    async browse(host = TIDE) {
        await session(host, "ews", { mode: "none" }, async (one) => {
            one.requestedMaxReferencesPerNode = 5;
            for (const nodeId of ["i=85", OBJECT, id("Tags")]) {
                let found = await noted(one.browse({ nodeId, resultMask: 63, includeSubtypes: true, browseDirection: 0 }));
                while (found && found.continuationPoint && found.continuationPoint.length > 0) {
                    found = await noted(one.browseNext(found.continuationPoint, false));
                }
            }
            await noted(one.translateBrowsePath([opcua.makeBrowsePath("RootFolder", "/Objects/2:Weir/2:Level")]));
            await read(one, ...Array.from({ length: TAGS }, (_, number) => tag(number)));
        });
    },

    // SCADA-1 does more than it may.
    async violations(host = TIDE) {
        await session(host, "scada", { as: "operator" }, async (one) => {
            await write(one, [SETPOINT, DataType.Double, 9.0]);
            await write(one, [SERIAL, DataType.String, "T-1"]);
            await write(one, [LABEL, DataType.String, "mine"]);
            await call(one, RESET);
            await call(one, MOVE, 9.5);
        });
    },

    // EWS-1 reads and writes an array in chunks of the smallest size that the standard allows.
    async chunks(host = TIDE) {
        const more = { transportSettings: { sendBufferSize: 8192, receiveBufferSize: 8192, maxChunkCount: 100 } };
        for (const mode of ["none", "sign"]) {
            await session(host, "ews", { mode, more }, async (one) => {
                await read(one, RECIPE, SERIAL);
                const array = new Variant({ dataType: DataType.Double, arrayType: VariantArrayType.Array,
                    value: Float64Array.from({ length: RECIPE_SIZE }, (_, number) => number / 4) });
                await noted(one.write({ nodeId: RECIPE, attributeId: opcua.AttributeIds.Value, value: { value: array } }));
                await read(one, LEVEL);
            });
        }
    },

    // SCADA-1 waits for the controller's ReverseHello, then sends the usual requests.
    async reverse() {
        const listener = new opcua.ClientReverseConnect(`opc.tcp://${SCADA}:${REVERSE_PORT}`);
        await listener.start();
        const serverCertificate = fs.readFileSync(file("tide.der"));
        const client = await makeClient("scada", "sign", "Basic256Sha256", { serverCertificate });
        await client.connectReverse(listener, { serverUri: "urn:plant.example:tide" });
        const one = await client.createSession(user("operator"));
        await read(one, LEVEL, POSITION);
        await write(one, [SETPOINT, DataType.Double, 1.1]);
        await write(one, [LABEL, DataType.String, "mine"]);
        await call(one, RESET);
        await one.close();
        await client.disconnect();
        await listener.stop();
    },
};

async function main(what, ...rest) {
    if (what === "server") return startServer(...rest);
    if (what === "reverse-server") {
        const connections = [{ endpointUrl: `opc.tcp://${SCADA}:${REVERSE_PORT}` }];
        return startServer(rest[0], { reverseConnect: { connections, reconnectDelay: 500 } });
    }
    await scenes[what](...rest);
    process.exit(0);
}

main(...process.argv.slice(2)).catch((failure) => {
    console.error(failure);
    process.exit(1);
});
