-- Makes entries that are pending for a consumer look as if they were delivered just now.
--
-- ARGV: the role, the consumer, then stream and id of each entry. An entry that is no longer pending for this
-- consumer is left alone: XCLAIM by itself would steal it back. Answers with the number of entries renewed.

local role, consumer = take(2)
local renewed = 0
for _ = 3, #ARGV, 2 do
    local stream, id = take(2)
    local key = prefix .. stream
    local pending = redis.pcall('XPENDING', key, role, id, id, 1, consumer)
    if not pending.err and #pending == 1 then
        redis.call('XCLAIM', key, role, consumer, 0, id, 'JUSTID')
        renewed = renewed + 1
    end
end
return renewed
