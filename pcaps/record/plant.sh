# shellcheck shell=bash
# The network of the plant, sourced by ./record: one namespace for each host, all plugged into one switch.
#
# Everything lives in namespaces whose names begin with PLANT, without a link to the machine's own network. The LAN is flat
# (10.20/16, fd20:10::/64) so that every frame carries the real hardware address of its sender; the zones are its subnets.

PLANT=lk$$
SWITCH=$PLANT-switch
MIRROR=$PLANT-mirror

#     name      IPv4         IPv6         hardware address
HOSTS="
      gate      10.20.10.11  fd20:10::11  00:1b:1b:10:20:11
      plc1      10.20.10.12  fd20:10::12  00:80:f4:10:20:12
      plc2      10.20.10.13  fd20:10::13  28:63:36:10:20:13
      sluice    10.20.10.14  fd20:10::14  28:63:36:10:20:14
      weir      10.20.10.15  fd20:10::15  00:30:de:10:20:15
      tide      10.20.10.16  fd20:10::16  00:01:05:10:20:16
      gw        10.20.10.20  fd20:10::20  00:90:e8:10:20:20
      intruder  10.20.10.99  fd20:10::99  b8:27:eb:10:20:99
      scada     10.20.20.10  fd20:20::10  00:50:56:20:20:10
      hist      10.20.30.20  fd20:30::20  00:50:56:20:30:20
      ews       10.20.40.10  fd20:40::10  00:50:56:20:40:10
      vendor    10.20.50.5   fd20:50::5   00:50:56:20:50:05
      stray     10.99.0.7    fd99::7      52:54:00:99:00:07
"

# Runs a command on a host of the plant.
on() {
    local host=$1
    shift
    ip netns exec "$PLANT-$host" "$@"
}

build_plant() {
    ip netns add "$SWITCH"
    quiet "$SWITCH"
    ip -n "$SWITCH" link add br0 address 02:00:0a:14:00:01 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    ip -n "$SWITCH" link set br0 up
    echo "$HOSTS" | while read -r name ipv4 ipv6 mac; do
        [ -z "$name" ] || plug_in "$name" "$ipv4" "$ipv6" "$mac"
    done
}

plug_in() {
    local name=$1 ipv4=$2 ipv6=$3 mac=$4 ns=$PLANT-$1
    ip netns add "$ns"
    ip -n "$ns" link set lo up
    ip -n "$SWITCH" link add "$name" type veth peer name eth0 address "$mac" netns "$ns"
    ip -n "$SWITCH" link set "$name" master br0 up
    ip -n "$ns" link set eth0 addrgenmode none
    ip -n "$ns" addr add "$ipv4/16" dev eth0
    ip -n "$ns" addr add "$ipv6/16" dev eth0 nodad
    ip -n "$ns" link set eth0 up
    # A route to the one host that is not of the plant; for itself, the way in.
    case $ipv4 in
        10.20.*) ip -n "$ns" route add 10.99.0.0/16 dev eth0 ;;
        *) ip -n "$ns" route add 10.20.0.0/16 dev eth0 ;;
    esac
    # With offloads, the capture would contain frames as no wire carries them: larger than the MTU, without checksums.
    ip netns exec "$ns" ethtool -K eth0 tso off gso off gro off tx off rx off >/dev/null 2>&1
}

# Turns the switch into a hub, and connects a host without an address, which receives what a SPAN port mirrors.
plug_in_mirror() {
    ip netns add "$MIRROR"
    quiet "$MIRROR"
    ip -n "$SWITCH" link set br0 type bridge ageing_time 0
    ip -n "$SWITCH" link add mirror type veth peer name eth0 netns "$MIRROR"
    ip -n "$SWITCH" link set mirror master br0 up
    ip -n "$MIRROR" link set eth0 up
}

# Neither the switch nor a listening host may send.
quiet() {
    ip netns exec "$1" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
                              echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'
}

namespaces() { echo "$HOSTS" | awk -v plant="$PLANT" 'NF {print plant "-" $1}'; }

# Every host forgets its neighbours, so that each capture holds its own address resolution.
forget_neighbours() {
    namespaces | while read -r ns; do
        ip -n "$ns" neigh flush all >/dev/null 2>&1 || true
    done
}

remove_plant() {
    (namespaces; echo "$SWITCH"; echo "$MIRROR") | while read -r ns; do
        ip netns del "$ns" 2>/dev/null || true
    done
}

# Removes what is left of plants whose recorder was killed, with the processes in them.
remove_ruins() {
    ip netns list | { grep -oE '^lk[0-9]+-[a-z0-9]+' || true; } | while read -r ns; do
        local owner=${ns%%-*}
        kill -0 "${owner#lk}" 2>/dev/null && continue
        ip netns pids "$ns" | xargs -r kill 2>/dev/null || true
        ip netns del "$ns" || true
    done
}
