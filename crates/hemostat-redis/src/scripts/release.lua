-- Gives a lease back. ARGV: the name, the owner, the epoch. The epoch stays, so the next one is higher.

local name, owner, epoch = take(3)
local key = prefix .. 'lease:' .. name
local held = redis.call('HMGET', key, 'owner', 'epoch')
if held[1] == owner and held[2] == epoch then
    redis.call('HSET', key, 'owner', '', 'until', '0')
    return 1
end
return 0
