/* The second Modbus stack of the plant, libmodbus.
 *
 *   pump serve ADDRESS             the controller of the pumping station
 *   pump poll ADDRESS ROUNDS MS    the historian: reads levels and states, never writes
 */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

enum { COILS = 16, INPUTS = 16, HOLDING = 64, INPUT_REGISTERS = 16 };

static modbus_mapping_t *station(void)
{
    modbus_mapping_t *map = modbus_mapping_new(COILS, INPUTS, HOLDING, INPUT_REGISTERS);
    for (int at = 0; map && at < INPUT_REGISTERS; at++)
        map->tab_input_registers[at] = 180 + 7 * at;
    for (int at = 0; map && at < 10; at++)
        map->tab_registers[at] = 500 + at;
    if (map)
        map->tab_registers[10] = 240; /* level set point, centimetres */
    return map;
}

static void answer(modbus_t *ctx, int client, modbus_mapping_t *map, fd_set *open)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_set_socket(ctx, client);
    int size = modbus_receive(ctx, query);
    if (size > 0) {
        modbus_reply(ctx, query, size, map);
    } else if (size < 0) {
        close(client);
        FD_CLR(client, open);
    }
}

static int serve(modbus_t *ctx)
{
    modbus_mapping_t *map = station();
    int listener = modbus_tcp_listen(ctx, 8);
    if (!map || listener < 0)
        return 1;
    fd_set open;
    FD_ZERO(&open);
    FD_SET(listener, &open);
    for (;;) {
        fd_set ready = open;
        if (select(FD_SETSIZE, &ready, NULL, NULL, NULL) < 0)
            return 1;
        for (int fd = 0; fd < FD_SETSIZE; fd++) {
            if (!FD_ISSET(fd, &ready))
                continue;
            if (fd != listener) {
                answer(ctx, fd, map, &open);
            } else {
                int socket = listener;
                int client = modbus_tcp_accept(ctx, &socket);
                if (client >= 0)
                    FD_SET(client, &open);
            }
        }
    }
}

static int poll(modbus_t *ctx, int rounds, int pause_ms)
{
    uint16_t words[40];
    uint8_t bits[16];
    if (modbus_connect(ctx) < 0)
        return 1;
    modbus_set_slave(ctx, 1);
    for (int round = 0; round < rounds; round++) {
        modbus_read_registers(ctx, 0, 10, words);
        modbus_read_input_registers(ctx, 0, 4, words);
        modbus_read_bits(ctx, 0, 4, bits);
        usleep(1000 * pause_ms);
    }
    modbus_close(ctx);
    return 0;
}

int main(int argc, char **argv)
{
    modbus_t *ctx = argc > 2 ? modbus_new_tcp(argv[2], 502) : NULL;
    if (ctx && !strcmp(argv[1], "serve"))
        return serve(ctx);
    if (ctx && argc > 4 && !strcmp(argv[1], "poll"))
        return poll(ctx, atoi(argv[3]), atoi(argv[4]));
    fprintf(stderr, "usage: pump serve ADDRESS | pump poll ADDRESS ROUNDS MILLISECONDS\n");
    return 2;
}
