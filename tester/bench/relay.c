/* A minimal relay, to compare others with: one thread, epoll, 4-byte length prefixes.
 *
 * What was read from a publisher is sent to every subscriber with one call, up to the last whole frame in it. What a
 * subscriber does not take is copied into its own queue; one whose queue would exceed 64 MiB is disconnected.
 *
 * Build: cc -O2 -o relay relay.c          Run: ./relay PUBLISH_PORT SUBSCRIBE_PORT, on 127.0.0.1
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 2 << 20, READ = 256 << 10, LONGEST = ROOM - READ - 4, QUEUE = 64 << 20, EVENTS = 512 };
enum role { PUBLISHERS_DOOR, SUBSCRIBERS_DOOR, PUBLISHER, SUBSCRIBER };

struct peer {
    enum role role;
    int fd, place;         /* a subscriber's place in the list */
    char *bytes;           /* a publisher: the beginning of a frame that is not whole; a subscriber: its queue */
    size_t at, have, room; /* `at` is a subscriber's: where its queue starts */
};

static struct peer **subscribers;
static int subscriber_count, subscriber_room, poller;

static void watch(struct peer *peer, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = peer};
    epoll_ctl(poller, operation, peer->fd, &event);
}

static struct peer *add(enum role role, int fd) {
    struct peer *peer = calloc(1, sizeof *peer);
    peer->role = role;
    peer->fd = fd;
    watch(peer, EPOLL_CTL_ADD, EPOLLIN);
    return peer;
}

/* The peer itself is not freed, because there may be more events for it in the current batch. */
static void drop(struct peer *peer) {
    if (peer->fd < 0) return;
    close(peer->fd);
    peer->fd = -1;
    free(peer->bytes);
    peer->bytes = NULL;
    if (peer->role != SUBSCRIBER) return;
    subscribers[peer->place] = subscribers[--subscriber_count];
    subscribers[peer->place]->place = peer->place;
}

static size_t take(struct peer *peer, const char *data, size_t length) {
    ssize_t sent = send(peer->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? 0 : (size_t)sent; /* epoll reports an error, too */
}

static int enqueue(struct peer *peer, const char *data, size_t length) {
    if (peer->at + peer->have + length > peer->room) {
        if (peer->have) memmove(peer->bytes, peer->bytes + peer->at, peer->have);
        peer->at = 0;
        while (peer->have + length > peer->room) peer->room = peer->room ? 2 * peer->room : READ;
        if (peer->room > QUEUE) return -1;
        peer->bytes = realloc(peer->bytes, peer->room);
    }
    memcpy(peer->bytes + peer->at + peer->have, data, length);
    peer->have += length;
    return 0;
}

static void broadcast(const char *data, size_t length) {
    for (int i = subscriber_count - 1; i >= 0; i--) {
        struct peer *peer = subscribers[i];
        size_t taken = peer->have ? 0 : take(peer, data, length);
        if (taken == length) continue;
        if (!peer->have) watch(peer, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
        if (enqueue(peer, data + taken, length - taken)) drop(peer);
    }
}

static void drain(struct peer *peer) {
    size_t taken = take(peer, peer->bytes + peer->at, peer->have);
    peer->at += taken;
    peer->have -= taken;
    if (peer->have) return;
    peer->at = 0;
    watch(peer, EPOLL_CTL_MOD, EPOLLIN);
}

static void read_publisher(struct peer *peer) {
    ssize_t n = recv(peer->fd, peer->bytes + peer->have, READ, MSG_DONTWAIT);
    if (n <= 0) { drop(peer); return; }
    peer->have += n;
    size_t whole = 0;
    for (uint32_t length; peer->have - whole >= 4; whole += 4 + length) {
        memcpy(&length, peer->bytes + whole, 4);
        length = ntohl(length);
        if (length > LONGEST) { drop(peer); return; }
        if (peer->have - whole < 4 + (size_t)length) break;
    }
    if (whole) broadcast(peer->bytes, whole);
    memmove(peer->bytes, peer->bytes + whole, peer->have -= whole);
}

static void meet(struct peer *door) {
    int fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC), on = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (door->role == PUBLISHERS_DOOR) {
        add(PUBLISHER, fd)->bytes = malloc(ROOM);
        return;
    }
    if (subscriber_count == subscriber_room)
        subscribers = realloc(subscribers, (subscriber_room = 2 * subscriber_room + 64) * sizeof *subscribers);
    struct peer *peer = subscribers[subscriber_count] = add(SUBSCRIBER, fd);
    peer->place = subscriber_count++;
}

static void listen_on(enum role door, const char *port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (void *)&here, sizeof here) || listen(fd, 4096)) { perror(port); exit(1); }
    add(door, fd);
}

int main(int argc, char **argv) {
    if (argc != 3) { fprintf(stderr, "usage: %s PUBLISH_PORT SUBSCRIBE_PORT\n", argv[0]); return 2; }
    poller = epoll_create1(0);
    listen_on(PUBLISHERS_DOOR, argv[1]);
    listen_on(SUBSCRIBERS_DOOR, argv[2]);
    for (struct epoll_event events[EVENTS];;) {
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            char heard[4096];
            if (peer->fd < 0) continue;
            if (peer->role < PUBLISHER) { meet(peer); continue; }
            if (peer->role == PUBLISHER) { read_publisher(peer); continue; }
            if (events[i].events & EPOLLOUT && peer->have) drain(peer);
            if (events[i].events & ~EPOLLOUT && recv(peer->fd, heard, sizeof heard, MSG_DONTWAIT) <= 0) drop(peer);
        }
    }
}
