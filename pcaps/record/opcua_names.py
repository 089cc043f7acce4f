"""Names and numbers that the OPC UA controllers of the plant share with their clients."""

WEIR, TIDE = "10.20.10.15", "10.20.10.16"
PORT = 4840
APPLICATION = "urn:plant.example:weir"
USERS = {"operator": "weir-42", "engineer": "keystone-7"}
TAGS = 16                                                       # variables in the folder that a sweep finds
RECIPE = 2500                                                   # numbers in the array that no chunk holds


def string_id(name):
    return f"ns=2;s={name}"


LEVEL, POSITION, RUNNING = (string_id(f"Weir.{name}") for name in ("Level", "Position", "Running"))
SETPOINT, COMMAND = string_id("Weir.Setpoint"), string_id("Weir.Command")
RECIPE_NODE, LABEL = string_id("Weir.Recipe"), string_id("Weir.Label")
SERIAL, COUNTER = "ns=2;i=1001", "ns=2;g=6d9e0c4a-1f52-4b8e-9a37-0c5e2f7a1b90"
OBJECT, MOVE, RESET = string_id("Weir"), string_id("Weir.MoveTo"), string_id("Weir.Reset")
FOLDER = string_id("Tags")


def tag(number):
    return string_id(f"Tags.{number:03}")


def url(host):
    return f"opc.tcp://{host}:{PORT}"
