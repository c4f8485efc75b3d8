/* Write each message to standard output as a line, and go on there after an interruption:
 *
 *     cc -o resuming_subscriber resuming_subscriber.c && ./resuming_subscriber [HOST PORT]
 *
 * Needs POSIX.1-2008 and nothing else. */

#define _POSIX_C_SOURCE 200809L
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CONTROL 0x80000000u /* this bit of a header says that what follows is a control frame, and no message */
#define MOST (1u << 24)     /* bytes that we are prepared to hold */
#define HEARTBEAT 2         /* seconds; the connection is dead if nothing at all comes for three of them */
#define EPOCH 33            /* characters of an epoch, and one for its end */

typedef struct {
    char epoch[EPOCH];
    unsigned long long number;
} position;

static position last, sure;  /* of the last message, and of the last that the relay has confirmed */
static double pause_s = 0.1; /* seconds until the next attempt */
static const char *host = "127.0.0.1", *port = "8002";

/* The value of a key of a flat JSON object, where it begins; NULL if it is not there. */
static const char *find(const char *json, const char *key) {
    size_t length = strlen(key);
    int depth = 0;
    for (const char *at = json; *at; at++) {
        if (*at == '{' || *at == '[') depth++;
        if (*at == '}' || *at == ']') depth--;
        if (*at != '"') continue;
        const char *name = ++at;
        while (*at && *at != '"') at += *at == '\\' && at[1] ? 2 : 1;
        if (!*at) return NULL;
        const char *after = at + 1 + strspn(at + 1, " \t\r\n");
        if (depth == 1 && *after == ':' && (size_t)(at - name) == length && !strncmp(name, key, length))
            return after + 1 + strspn(after + 1, " \t\r\n");
    }
    return NULL;
}

static int is(const char *value, const char *text) { /* whether a value is that string */
    size_t length = strlen(text);
    return value && *value == '"' && !strncmp(value + 1, text, length) && value[1 + length] == '"';
}

static int same(position a, position b) { return a.number == b.number && !strcmp(a.epoch, b.epoch); }

/* Connect and say hello. Returns the connection, or NULL. */
static FILE *open_relay(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    struct timeval patience = {.tv_sec = 3 * HEARTBEAT};
    char hello[256], after[128] = "";
    int relay = -1;
    if (getaddrinfo(host, port, &hints, &found)) return NULL;
    for (struct addrinfo *at = found; at && relay < 0; at = at->ai_next) {
        relay = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (relay >= 0 && connect(relay, at->ai_addr, at->ai_addrlen)) close(relay), relay = -1;
    }
    freeaddrinfo(found);
    if (relay < 0) return NULL;
    setsockopt(relay, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (last.epoch[0]) snprintf(after, sizeof after, ", \"after\": \"%s-%llu\"", last.epoch, last.number);
    snprintf(hello, sizeof hello, "....{\"relay\": 1, \"type\": \"subscribe\", \"heartbeat\": %d%s}", HEARTBEAT, after);
    uint32_t header = CONTROL + (uint32_t)strlen(hello) - 4;
    for (int byte = 0; byte < 4; byte++) hello[byte] = (char)(header >> (24 - 8 * byte));
    size_t size = header - CONTROL + 4;
    if (send(relay, hello, size, MSG_NOSIGNAL) == (ssize_t)size) return fdopen(relay, "rb");
    close(relay);
    return NULL;
}

/* Take what the relay says to a position. Returns 1 if that ends the connection. */
static int hear(const char *json, int *welcomed) {
    const char *type = find(json, "type"), *next = find(json, "next"), *lost = find(json, "lost");
    const char *retry = find(json, "retry"), *message = find(json, "message");
    position here = {.number = 0};
    if (is(type, "error")) {
        int length = message ? (int)strcspn(message + 1, "\"") : 0;
        fprintf(stderr, "relay at %s:%s: %.*s\n", host, port, length, message ? message + 1 : "");
        exit(1);
    }
    if (!next || sscanf(next, "\"%32[0-9a-f]-%llu\"", here.epoch, &here.number) != 2) return 0; /* not for us */
    here.number--;
    if (is(type, "gap") && lost) last.number += strtoull(lost, NULL, 10);
    if (is(type, "welcome")) last = here, *welcomed = 1, pause_s = 0.1;
    if (!same(last, here)) {
        fprintf(stderr, "relay at %s:%s: it is at %.40s, and we are not\n", host, port, next);
        last = sure; /* so that nothing is lost; some messages may come twice */
        return 1;
    }
    sure = last;
    if (lost && *lost == 'n') fprintf(stderr, "messages are lost: unknown\n");
    if (lost && strtoull(lost, NULL, 10)) fprintf(stderr, "messages are lost: %llu\n", strtoull(lost, NULL, 10));
    if (is(type, "bye") && retry) pause_s = strtod(retry, NULL);
    return is(type, "bye");
}

/* Write what comes until the connection ends. What is cut off is dropped: it comes again. */
static void subscribe(FILE *relay) {
    unsigned char header[4];
    char *body = NULL;
    int welcomed = 0, over = 0;
    time_t limit = time(NULL) + 5;
    while (!over && fread(header, 1, 4, relay) == 4) {
        uint32_t length = (uint32_t)header[0] << 24 | (uint32_t)header[1] << 16 | (uint32_t)header[2] << 8 | header[3];
        uint32_t size = length & ~CONTROL;
        if (size > MOST || !(body = realloc(body, size + 1)) || fread(body, 1, size, relay) != size) break;
        body[size] = '\0';
        if (length & CONTROL) {
            over = hear(body, &welcomed);
        } else if (welcomed) { /* before the welcome, it is dropped */
            body[size] = '\n';
            if (fwrite(body, 1, size + 1, stdout) != size + 1 || fflush(stdout)) exit(0); /* nobody reads on */
            last.number++;
        } else if (time(NULL) > limit) {
            fprintf(stderr, "relay at %s:%s: only messages come: perhaps it knows no sessions\n", host, port);
            break;
        }
    }
    free(body);
}

int main(int count, char **arguments) {
    if (count > 2) host = arguments[1], port = arguments[2];
    srand((unsigned)time(NULL) ^ (unsigned)getpid());
    for (;;) {
        FILE *relay = open_relay();
        if (relay) subscribe(relay), fclose(relay);
        double wait = pause_s * (0.5 + rand() / (2.0 * RAND_MAX));
        struct timespec time = {.tv_sec = (time_t)wait, .tv_nsec = (long)((wait - (double)(time_t)wait) * 1e9)};
        fprintf(stderr, "relay at %s:%s: the connection ended; the next attempt is in %.1f s\n", host, port, wait);
        nanosleep(&time, NULL);
        if ((pause_s *= 2) > 30) pause_s = 30;
    }
}
