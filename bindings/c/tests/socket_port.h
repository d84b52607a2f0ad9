/* A card behind a socket, in the words of vpcd: a length of two bytes, and so many bytes. It goes when a contact has
 * ended, and comes back at once. */
#ifndef SOCKET_PORT_H
#define SOCKET_PORT_H

#include <arpa/inet.h>
#include <onetap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    struct sockaddr_in at;
    int contact;
    bool gone;
    int released;
} socket_card;

static int socket_read(int from, uint8_t *to, size_t len)
{
    while (len) {
        ssize_t got = read(from, to, len);
        if (got <= 0)
            return ONETAP_PORT_CARD_LEFT;
        to += got;
        len -= (size_t)got;
    }
    return 0;
}

static int socket_exchange(int with, const uint8_t *message, size_t len, uint8_t *answer)
{
    uint8_t frame[2 + 1024], head[2];
    if (len > 1024)
        return ONETAP_PORT_FAILED;
    frame[0] = (uint8_t)(len >> 8);
    frame[1] = (uint8_t)len;
    memcpy(frame + 2, message, len);
    if (write(with, frame, len + 2) != (ssize_t)len + 2 || socket_read(with, head, 2))
        return ONETAP_PORT_CARD_LEFT;
    int count = head[0] << 8 | head[1];
    return socket_read(with, answer, (size_t)count) ? ONETAP_PORT_CARD_LEFT : count;
}

static int socket_present(void *context, uint32_t wait_ms)
{
    socket_card *card = context;
    bool gone = card->gone;
    (void)wait_ms;
    card->gone = false;
    return !gone;
}

static int socket_connect(void *context, uint8_t *atr)
{
    socket_card *card = context;
    const uint8_t get_atr = 4;
    card->contact = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(card->contact, (struct sockaddr *)&card->at, sizeof card->at))
        return ONETAP_PORT_FAILED;
    return socket_exchange(card->contact, &get_atr, 1, atr);
}

static int socket_transmit(void *context, const uint8_t *command, size_t len, uint8_t *response)
{
    return socket_exchange(((socket_card *)context)->contact, command, len, response);
}

static int socket_disconnect(void *context, bool power_off)
{
    socket_card *card = context;
    (void)power_off;
    close(card->contact);
    card->gone = true;
    return 0;
}

static void socket_release(void *context)
{
    ((socket_card *)context)->released++;
}

/* For a card at this port of the machine. */
static onetap_port socket_port(socket_card *card, const char *port)
{
    onetap_port made = {sizeof made,      card,           socket_present, socket_connect,
                        socket_transmit, socket_disconnect, socket_release};
    memset(card, 0, sizeof *card);
    card->at.sin_family = AF_INET;
    card->at.sin_port = htons((uint16_t)atoi(port));
    card->at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return made;
}

#endif
