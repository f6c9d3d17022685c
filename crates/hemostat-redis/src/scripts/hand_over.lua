-- Gives back what is pending for a consumer.
--
-- ARGV: the role, the consumer, the idle time in milliseconds after which entries are taken over, then the streams.
-- An entry stays in the consumer's name, so whoever takes it over fences it; it looks as if it had been idle for that
-- long, and as if it had been delivered once less. Answers with the number of entries.

local role, consumer, idle = take(3)
local given = 0
for _ = 4, #ARGV do
    local key = prefix .. take(1)
    local pending = redis.pcall('XPENDING', key, role, '-', '+', 10000, consumer)
    for _, entry in ipairs(pending.err and {} or pending) do
        local count = text(math.max(entry[4] - 1, 0))
        redis.call('XCLAIM', key, role, consumer, 0, entry[1], 'IDLE', idle, 'RETRYCOUNT', count, 'JUSTID')
        given = given + 1
    end
end
return given
