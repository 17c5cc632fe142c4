/* Answers /dev/udmabuf with plain memory, for machines whose kernel has neither it nor a dma heap.
 *
 * libcamera's virtual camera takes its buffers from the kernel's dma-buf providers. It opens
 * /dev/udmabuf and asks it to wrap a memfd; here the answer is a duplicate of that memfd, which
 * can be mapped and shared all the same. Loaded by LD_PRELOAD in `make pibox-camera` only.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>

static int answer_open(const char *name, const char *path, int flags, mode_t mode)
{
	int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
	return real(strcmp(path, "/dev/udmabuf") ? path : "/dev/null", flags, mode);
}

/* glibc knows open by two names; which one a program calls depends on how it was compiled */
int open(const char *path, int flags, ...)
{
	va_list rest;
	va_start(rest, flags);
	mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	return answer_open("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list rest;
	va_start(rest, flags);
	mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
	va_end(rest);
	return answer_open("open64", path, flags, mode);
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	va_list rest;
	va_start(rest, request);
	void *argument = va_arg(rest, void *);
	va_end(rest);
	if (request == UDMABUF_CREATE) {
		const struct udmabuf_create *create = argument;
		return fcntl(create->memfd, F_DUPFD_CLOEXEC, 0);
	}
	return real(fd, request, argument);
}
