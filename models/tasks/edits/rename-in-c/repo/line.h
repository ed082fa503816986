#ifndef LINE_H
#define LINE_H

#include <stdio.h>

#define BUFSZ 256
#define RD_LINE_MAX 1000

/* Reads at most BUFSZ - 1 characters. */
int rd_line(FILE *file, char buffer[BUFSZ]);

#endif
